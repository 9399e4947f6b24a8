// The one list of LLVM-C enumerations and of the cases that we use, with LLVM's numbers: ENUM(type, CASES).
// Not a header of its own: included wherever ENUM and C are defined. Surprise: cases that we never name are absent.
ENUM(LLVMOpcode,
  C(LLVMAdd, 8) C(LLVMFAdd, 9) C(LLVMSub, 10) C(LLVMFSub, 11) C(LLVMMul, 12) C(LLVMFMul, 13) C(LLVMUDiv, 14)
  C(LLVMSDiv, 15) C(LLVMFDiv, 16) C(LLVMURem, 17) C(LLVMSRem, 18) C(LLVMShl, 20) C(LLVMLShr, 21) C(LLVMAShr, 22)
  C(LLVMAnd, 23) C(LLVMOr, 24) C(LLVMXor, 25) C(LLVMTrunc, 30) C(LLVMZExt, 31) C(LLVMSExt, 32) C(LLVMFPToUI, 33)
  C(LLVMFPToSI, 34) C(LLVMUIToFP, 35) C(LLVMSIToFP, 36) C(LLVMFPTrunc, 37) C(LLVMFPExt, 38) C(LLVMPtrToInt, 39)
  C(LLVMBitCast, 41) C(LLVMAddrSpaceCast, 60))
ENUM(LLVMIntPredicate,
  C(LLVMIntEQ, 32) C(LLVMIntNE, 33) C(LLVMIntUGT, 34) C(LLVMIntUGE, 35) C(LLVMIntULT, 36) C(LLVMIntULE, 37)
  C(LLVMIntSGT, 38) C(LLVMIntSGE, 39) C(LLVMIntSLT, 40) C(LLVMIntSLE, 41))
ENUM(LLVMRealPredicate,
  C(LLVMRealOEQ, 1) C(LLVMRealOGT, 2) C(LLVMRealOGE, 3) C(LLVMRealOLT, 4) C(LLVMRealOLE, 5) C(LLVMRealONE, 6) C(LLVMRealUNO, 8)
  C(LLVMRealUNE, 14))
ENUM(LLVMTypeKind,
  C(LLVMHalfTypeKind, 1) C(LLVMFloatTypeKind, 2) C(LLVMDoubleTypeKind, 3) C(LLVMIntegerTypeKind, 8)
  C(LLVMPointerTypeKind, 12) C(LLVMVectorTypeKind, 13))
ENUM(LLVMAtomicOrdering, C(LLVMAtomicOrderingSequentiallyConsistent, 7))
ENUM(LLVMLinkage, C(LLVMInternalLinkage, 8))
ENUM(LLVMVisibility, C(LLVMDefaultVisibility, 0) C(LLVMHiddenVisibility, 1))
ENUM(LLVMVerifierFailureAction, C(LLVMReturnStatusAction, 2))
ENUM(LLVMDiagnosticSeverity, C(LLVMDSError, 0) C(LLVMDSWarning, 1) C(LLVMDSRemark, 2) C(LLVMDSNote, 3))
ENUM(LLVMCodeGenOptLevel,
  C(LLVMCodeGenLevelNone, 0) C(LLVMCodeGenLevelLess, 1) C(LLVMCodeGenLevelDefault, 2) C(LLVMCodeGenLevelAggressive, 3))
ENUM(LLVMRelocMode, C(LLVMRelocPIC, 2))
ENUM(LLVMCodeModel, C(LLVMCodeModelSmall, 3))
ENUM(LLVMCodeGenFileType, C(LLVMAssemblyFile, 0) C(LLVMObjectFile, 1))
