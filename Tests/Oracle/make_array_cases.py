"""Records NumPy's own npy and npz files: Tests/Oracle/formats/*.npy, *.npz.

Needs `pip install numpy==2.4.6`; the tests read the recorded files only.
    python3 make_array_cases.py
Every array holds 0, 1, 2... in C order (bool: 0 is false), so the tests need no record of the values.
"""
import pathlib
import zipfile

import numpy

FOLDER = pathlib.Path(__file__).parent / "formats"
DTYPES = ["?", "u1", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]


def counting(dtype, shape):
    return numpy.arange(int(numpy.prod(shape))).reshape(shape).astype(dtype)


def arrays():
    named = {}
    for dtype in DTYPES:
        name = numpy.dtype(dtype).name
        named[name] = counting(dtype, (2, 3))
        if numpy.dtype(dtype).itemsize > 1:
            named[name + "_big"] = counting(">" + dtype, (2, 3))
    named["fortran"] = numpy.asfortranarray(counting("f4", (2, 3, 4)))
    named["fortran_big"] = numpy.asfortranarray(counting(">i2", (4, 1, 3)))
    named["vector"] = counting("f4", (5,))
    named["scalar"] = counting("f8", ())
    named["empty"] = counting("f4", (0, 3))
    return named


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    numpy.savez(FOLDER / "stored.npz", **arrays(), unsigned16=counting("u2", (2,)))
    numpy.savez_compressed(FOLDER / "deflated.npz", **arrays(), zeros=numpy.zeros((100, 100), "f4"))
    for version in [(1, 0), (2, 0), (3, 0)]:
        with open(FOLDER / f"version{version[0]}.npy", "wb") as file:
            numpy.lib.format.write_array(file, counting("f4", (3, 2)), version=version)
    # The standard library writes zip64 fields for everything once the limits are that low.
    zipfile.ZIP64_LIMIT = 10
    zipfile.ZIP_FILECOUNT_LIMIT = 1
    numpy.savez(FOLDER / "zip64.npz", a=counting("f4", (3, 2)), b=counting("i8", (4,)))
    for path in sorted(FOLDER.glob("*.np*")):
        print(path.name, path.stat().st_size)
