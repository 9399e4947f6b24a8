// dlopen of libLLVM 19: a table of pointers, and one hidden function per entry under LLVM's name that calls through it.
// Not a wrapper: arguments pass unchanged. Surprise: hidden, so that a process which links LLVM itself keeps its own.
// And the gate that `exit` and compiling threads share.
#include "CLLVM.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

// `exit` destroys what LLVM holds in globals while other threads may still compile: they would end the process with a
// signal. So LLVM is used between enter and leave; exit waits until nobody is inside, and lets nobody in any more.
// It cannot wait while dlopen runs LLVM's constructors: those register what exit then runs first. Hence no library is
// loaded ahead on a thread of ours: a program that ends early would meet those milliseconds.
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t outside = PTHREAD_COND_INITIALIZER;
static int inside = 0, leaving = 0;
static pthread_t leaver;
static _Thread_local int depth = 0;

int azulejo_llvm_enter(void) {
  pthread_mutex_lock(&gate);
  int is_leaver = leaving && pthread_equal(leaver, pthread_self());
  // Another thread ends the process: there is nothing left to do for this one, and nobody whom an error could reach.
  while (leaving && !is_leaver && depth == 0) pthread_cond_wait(&outside, &gate);
  if (!is_leaver) {
    inside++;
    depth++;
  }
  pthread_mutex_unlock(&gate);
  return is_leaver;
}

void azulejo_llvm_leave(void) {
  pthread_mutex_lock(&gate);
  inside--;
  depth--;
  pthread_cond_broadcast(&outside);
  pthread_mutex_unlock(&gate);
}

static void wait_outside(void) {
  pthread_mutex_lock(&gate);
  if (!leaving) {
    leaving = 1;
    leaver = pthread_self();
  }
  // LLVM itself calls exit at a defect: that thread must not wait for itself.
  while (inside > depth) pthread_cond_wait(&outside, &gate);
  pthread_mutex_unlock(&gate);
}

// A child process has only the thread that forked.
static void reset_in_child(void) {
  gate = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
  outside = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
  inside = depth;
  if (leaving) leaver = pthread_self();
}

// Handlers run in the opposite order of their registration: this one before all that LLVM registered until now.
void azulejo_llvm_guard_exit(void) { atexit(wait_outside); }

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
  // dlopen waits for the writer of a pipe.
  struct stat status;
  if (strchr(path, '/') && stat(path, &status) == 0 && !S_ISREG(status.st_mode)) return NULL;
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
      pthread_atfork(NULL, NULL, reset_in_child);
      azulejo_llvm_guard_exit();
      result = resolve(library, error, size);
    }
    loaded = result == 0;
  }
  pthread_mutex_unlock(&lock);
  return result;
}
