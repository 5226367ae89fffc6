"""Test programs of riscv-ctg for the groups of coverage.cgf: generate.py COVERAGE FOLDER.

The generator's own command solves for values among hundreds per operand, which takes hours. Here a group says in
`values` which ones are enough. Everything else is the generator's.
"""

import copy
import multiprocessing
import sys

from riscv_ctg import constants, utils
from riscv_ctg.ctg import create_test
from riscv_isac.cgf_normalize import expand_cgf

XLEN = 32
FLEN = 0


def generate(label, group, templates, folder):
    templates = copy.deepcopy(templates)
    for operand, values in group.pop("values", {}).items():
        for mnemonic in group["mnemonics"]:
            # The generator evaluates it.
            templates[mnemonic][f"{operand}_data"] = repr([int(value) for value in values])
    create_test("", group, label, "rv32i", None, templates, False, folder, XLEN, FLEN)


def main():
    coverage, folder = sys.argv[1:]
    templates = utils.load_yamls(constants.template_files)
    groups = expand_cgf([coverage], XLEN, FLEN)
    del groups["datasets"]
    with multiprocessing.Pool() as pool:
        pool.starmap(generate, [(label, group, templates, folder) for label, group in groups.items()], chunksize=1)


main()
