#!/bin/bash
# LLVM 19.1 and 20.1: instcombine makes 0 of max(|x|, 0) for every x below 0, where the maximum hands on NaN.
# Guessed: a float maximum written as two selects (NaN stays, else the larger) is what instcombine canonicalises for years.
# Seen: of `|x| > 0` or `x is NaN`, whose answer chooses |x|, it makes `x > 0 or NaN`: the magnitude is forgotten. LLVM 15 and
# 22 ask `x != 0 or NaN`, which is right. Comparisons with other constants, and the other eleven predicates, are right.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
for version in 0.44.0 0.47.0 0.50.0; do
  "$folder/venv/bin/pip" --quiet --disable-pip-version-check install llvmlite==$version
  "$folder/venv/bin/python" - <<'PYTHON'
import ctypes

import llvmlite
import llvmlite.binding as llvm

SOURCE = """
define float @larger(float %x) {
  %magnitude = call float @llvm.fabs.f32(float %x)
  %above = fcmp ogt float %magnitude, 0.0
  %chosen = select i1 %above, float %magnitude, float 0.0
  %missing = fcmp uno float %magnitude, %magnitude
  %result = select i1 %missing, float %magnitude, float %chosen
  ret float %result
}
declare float @llvm.fabs.f32(float)
"""
try:
    llvm.initialize()
except RuntimeError:
    pass
llvm.initialize_native_target()
llvm.initialize_native_asmprinter()


def larger(optimised):
    module = llvm.parse_assembly(SOURCE)
    machine = llvm.Target.from_default_triple().create_target_machine()
    if optimised:
        passes = llvm.create_new_module_pass_manager()
        add = getattr(passes, "add_instruction_combine_pass", None) or passes.add_instruction_combining_pass
        add()
        passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_float)(engine.get_function_address("larger"))
    values = [function(x) for x in (3.0, 0.0, -3.0)]
    return values


seen = {15: [3.0, 0.0, 3.0], 20: [3.0, 0.0, 0.0], 22: [3.0, 0.0, 3.0]}
major = llvm.llvm_version_info[0]
plain, combined = larger(False), larger(True)
print("llvmlite", llvmlite.__version__, "LLVM", llvm.llvm_version_info, "max(|x|, 0) of 3, 0, -3:", combined, "before:", plain)
assert plain == [3.0, 0.0, 3.0], plain
assert combined == seen[major], (major, combined)
PYTHON
done
