"""The snippets of the documentation, and what it takes to run them."""

import re

# What the loop of README assumes: a simulation with these names.
BEFORE = """
#include <stdio.h>
#include <stdlib.h>
#include <trajlog.h>

static int64_t n = 5, steps = 100;
static double dt = 0.01, x[15], v[15];

static void integrate(double *position, double *velocity, double interval)
{
    for (int i = 0; i < 15; i++) {
        velocity[i] += interval * (i + 1 - position[i]);
        position[i] += interval * velocity[i];
    }
}

static trajlog_status simulate(void)
{
    (void)n, (void)steps, (void)dt, (void)x, (void)v, (void)integrate;
"""
AFTER = """
    return TRAJLOG_OK;
}

int main(void)
{
    trajlog_status status = simulate();
    if (status != TRAJLOG_OK) fprintf(stderr, "%s: %s\\n", trajlog_status_name(status), trajlog_message(NULL));
    return status;
}
"""


def snippets(path, language):
    """The blocks of a language in a Markdown file, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)


def c_program(snippet):
    """The snippet as a whole program."""
    if "int main(" in snippet:
        return snippet
    hdf5 = "#include <hdf5.h>\n" if "H5F" in snippet else ""
    return hdf5 + BEFORE + "".join(f"    {line}\n" for line in snippet.splitlines()) + AFTER


def loop(root):
    """The ten lines with which README begins, as a program that writes run.h5."""
    return c_program(snippets(root / "README.md", "c")[0])


def commands(root, start):
    """The shell commands of README that begin with this text."""
    lines = [line for block in snippets(root / "README.md", "sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith(start)]
