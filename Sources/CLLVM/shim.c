// dlopen of libLLVM 19: a table of pointers, and one hidden function per entry under LLVM's name that calls through it.
// Not a wrapper: arguments pass unchanged. Surprise: hidden, so that a process which links LLVM itself keeps its own.
#include "CLLVM.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define X(result, name, parameters, arguments) static result(*pointer_##name) parameters;
#define OPTIONAL X
#include "LLVMFunctions.h"
#undef OPTIONAL
#undef X

#define X(result, name, parameters, arguments) \
  __attribute__((visibility("hidden"))) result name parameters { return pointer_##name arguments; }
#define OPTIONAL(result, name, parameters, arguments) \
  X(result, name, parameters, arguments) \
  __attribute__((visibility("hidden"))) LLVMBool azulejo_has_##name(void) { return pointer_##name != NULL; }
#include "LLVMFunctions.h"
#undef OPTIONAL
#undef X

static const struct {
  const char *name;
  void **pointer;
  int optional;
} table[] = {
#define X(result, name, parameters, arguments) {#name, (void **)&pointer_##name, 0},
#define OPTIONAL(result, name, parameters, arguments) {#name, (void **)&pointer_##name, 1},
#include "LLVMFunctions.h"
#undef OPTIONAL
#undef X
};

static const char *const places[] = {
  "libLLVM.so.19.1",
  "libLLVM-19.so",
  "libLLVM-19.so.1",
  "libLLVM.so.19",
  "/usr/lib/llvm-19/lib/libLLVM.so.19.1",
  "/usr/lib/llvm-19/lib/libLLVM.so.1",
  "/usr/lib64/llvm19/lib/libLLVM.so.19.1",
#ifdef __APPLE__
  "libLLVM.dylib",
  "/opt/homebrew/opt/llvm@19/lib/libLLVM.dylib",
  "/usr/local/opt/llvm@19/lib/libLLVM.dylib",
#endif
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int loaded = 0;

static int resolve(void *library, char *error, size_t size) {
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    void *symbol = dlsym(library, table[i].name);
    if (!symbol && !table[i].optional) {
      snprintf(error, size, "libLLVM has no function %s", table[i].name);
      return 1;
    }
    *table[i].pointer = symbol;
  }
  unsigned major = 0, minor = 0, patch = 0;
  pointer_LLVMGetVersion(&major, &minor, &patch);
  if (major != 19) {
    snprintf(error, size, "LLVM %u.%u.%u was found where LLVM 19 is needed", major, minor, patch);
    return 1;
  }
  // Emission would reduce addresses in every loop, a third of its time; CodegenLLVM asks for that where it is worth it.
  // LLVM can only be told so for the process: whoever uses this very library beside us emits without it too.
  static const char *const options[] = {"azulejo", "-disable-lsr"};
  pointer_LLVMParseCommandLineOptions(sizeof options / sizeof *options, options, "");
  return 0;
}

// Opens the library; keeps why not, unless that is only that there is no such file, which other places may have.
static void *open_library(const char *path, char *error, size_t size, int *is_there) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library) return library;
  const char *reason = dlerror();
  if (reason && !*is_there && !strstr(reason, "No such file")) {
    snprintf(error, size, "libLLVM could not be loaded: %s", reason);
    *is_there = 1;
  }
  return NULL;
}

int azulejo_llvm_load(const char *path, char *error, size_t size, int *is_there) {
  *is_there = 0;
  pthread_mutex_lock(&lock);
  int result = 0;
  if (!loaded) {
    void *library = NULL;
    if (path && *path) {
      library = open_library(path, error, size, is_there);
    } else {
      for (size_t i = 0; !library && i < sizeof places / sizeof *places; i++)
        library = open_library(places[i], error, size, is_there);
    }
    if (!library) {
      if (!*is_there && path && *path) snprintf(error, size, "%s cannot be opened as a library", path);
      else if (!*is_there) snprintf(error, size, "no libLLVM 19 was found");
      result = 1;
    } else {
      result = resolve(library, error, size);
    }
    loaded = result == 0;
  }
  pthread_mutex_unlock(&lock);
  return result;
}
