// Declarations of the part of LLVM 19's C interface that CodegenLLVM uses, resolved by dlopen at the first compile.
// Not LLVM's headers: nothing of LLVM is needed to build. Surprise: before `azulejo_llvm_load` has succeeded, calling
// any function here is a jump through a null pointer.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef int LLVMBool;
typedef unsigned LLVMAttributeIndex;
typedef struct LLVMOpaqueContext *LLVMContextRef;
typedef struct LLVMOpaqueModule *LLVMModuleRef;
typedef struct LLVMOpaqueType *LLVMTypeRef;
typedef struct LLVMOpaqueValue *LLVMValueRef;
typedef struct LLVMOpaqueBasicBlock *LLVMBasicBlockRef;
typedef struct LLVMOpaqueBuilder *LLVMBuilderRef;
typedef struct LLVMOpaqueMetadata *LLVMMetadataRef;
typedef struct LLVMOpaqueAttributeRef *LLVMAttributeRef;
typedef struct LLVMOpaqueDiagnosticInfo *LLVMDiagnosticInfoRef;
typedef struct LLVMOpaqueMemoryBuffer *LLVMMemoryBufferRef;
typedef struct LLVMOpaqueTargetData *LLVMTargetDataRef;
typedef struct LLVMTarget *LLVMTargetRef;
typedef struct LLVMOpaqueTargetMachine *LLVMTargetMachineRef;
typedef struct LLVMOpaquePassBuilderOptions *LLVMPassBuilderOptionsRef;
typedef struct LLVMOpaqueError *LLVMErrorRef;
typedef void (*LLVMDiagnosticHandler)(LLVMDiagnosticInfoRef info, void *data);

#define C(name, value) name = value,
#define ENUM(type, cases) typedef enum { cases } type;
#include "LLVMConstants.h"
#undef ENUM
#undef C

#define X(result, name, parameters, arguments) result name parameters;
#define OPTIONAL(result, name, parameters, arguments) LLVMBool azulejo_has_##name(void); X(result, name, parameters, arguments)
#include "LLVMFunctions.h"
#undef OPTIONAL
#undef X

/// The function attributes' place, as `LLVMAttributeFunctionIndex`.
static const LLVMAttributeIndex azulejo_llvm_function_index = (LLVMAttributeIndex)-1;

/// Opens libLLVM 19 and resolves every function above; 0 on success, else `error` says what is missing.
/// `is_there`: whether a library was found that could not be opened. `path`: a library to try instead of the usual (may be
/// null). Safe to call from many threads; success is remembered.
int azulejo_llvm_load(const char *path, char *error, size_t size, int *is_there);

/// Whoever uses LLVM does so between these two, which nest: `exit` waits for those inside. Nonzero: this thread is ending the
/// process, whose LLVM may be gone; then there is nothing to leave. Other threads never come back once the process ends.
int azulejo_llvm_enter(void);
void azulejo_llvm_leave(void);

/// Makes `exit` wait before it destroys what LLVM has made until now. To be called inside, after the library was loaded and
/// again when more is there.
void azulejo_llvm_guard_exit(void);
