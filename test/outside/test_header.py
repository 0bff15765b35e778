"""The header compiles where its users are: C99, C11, C17 and C++17, by itself, without a warning."""

import pytest

STRICT = ["-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror", "-fsyntax-only"]

# Uses each macro and inline function, so that they are compiled too.
SOURCE = """
#include <trajlog.h>
#include <trajlog.h>

double x[6];

trajlog_shape shapes(int which);
trajlog_shape shapes(int which)
{
    int64_t n = 2;
    if (which == 0) return TRAJLOG_SCALAR;
    if (which == 1) return TRAJLOG_SHAPE(n);
    if (which == 2) return TRAJLOG_SHAPE(n, 3);
    return TRAJLOG_SHAPE(1, 2, 3, 4, 5, 6, 7);
}

trajlog_status use(void);
trajlog_status use(void)
{
    trajlog_writer *log = NULL;
    trajlog_options options = trajlog_default_options();
    trajlog_group *group;
    options.existing = TRAJLOG_REPLACE;
    (void)trajlog_create(&log, "run.h5", &options);
    group = trajlog_add_group(log, "g", trajlog_with_first(trajlog_every(10)));
    trajlog_add_field(group, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(2, 3), x, "nm");
    trajlog_add_field(group, "name", TRAJLOG_STRING(8), TRAJLOG_SCALAR, "argon", NULL);
    return trajlog_close(&log);
}
"""

SHAPE_PROGRAM = """
#include <assert.h>
#include <trajlog.h>

int main(void)
{
    int64_t n = 5;
    int32_t i;
    trajlog_shape shape = TRAJLOG_SHAPE(n, 3);
    assert(TRAJLOG_SCALAR.rank == 0);
    assert(shape.rank == 2 && shape.dims[0] == 5 && shape.dims[1] == 3 && shape.dims[2] == 0);
    shape = TRAJLOG_SHAPE(n);
    assert(shape.rank == 1 && shape.dims[0] == 5 && shape.dims[1] == 0);
    shape = TRAJLOG_SHAPE(1, 2, 3, 4, 5, 6, 7);
    assert(shape.rank == 7);
    for (i = 0; i < 7; i++) assert(shape.dims[i] == i + 1);
    return 0;
}
"""

LANGUAGES = [("gcc", "c99", "c"), ("gcc", "c11", "c"), ("gcc", "c17", "c"), ("g++", "c++17", "c++"),
             ("clang", "c99", "c"), ("clang", "c11", "c"), ("clang", "c17", "c"), ("clang++", "c++17", "c++")]


@pytest.mark.parametrize("compiler, standard, language", LANGUAGES)
def test_header_compiles(run, need, root, tmp_path, compiler, standard, language):
    source = tmp_path / "use.c"
    source.write_text(SOURCE)
    run(need(compiler), f"-std={standard}", "-x", language, *STRICT, f"-I{root / 'include'}", source)


@pytest.mark.parametrize("compiler, standard, language", LANGUAGES)
def test_shapes_are_what_was_written(run, need, root, tmp_path, compiler, standard, language):
    source, program = tmp_path / "shape.c", tmp_path / "shape"
    source.write_text(SHAPE_PROGRAM)
    run(need(compiler), f"-std={standard}", "-x", language, f"-I{root / 'include'}", source, "-o", program)
    run(program)


def test_too_many_dimensions_do_not_compile(run, need, root, tmp_path):
    source = tmp_path / "shape.c"
    source.write_text("#include <trajlog.h>\nint main(void) { return TRAJLOG_SHAPE(1, 2, 3, 4, 5, 6, 7, 8).rank; }\n")
    run(need("gcc"), "-fsyntax-only", f"-I{root / 'include'}", source, status=1)
