#!/usr/bin/env python3
"""Reads a log of md_argon with plain h5py, and plots energies and the mean-square displacement.

    read_back.py argon.h5 argon.png
"""
import argparse

import h5py
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402: the backend comes first
import numpy as np  # noqa: E402


def mean_square_displacement(position, edges):
    """Of each row, since the first one; reads one row at a time.

    Positions are in the box: between two rows each atom is taken to have gone the shortest way."""
    result = np.zeros(len(position))
    last = position[0]
    path = np.zeros_like(last)
    for row in range(1, len(position)):
        here = position[row]
        way = here - last
        path += way - edges * np.rint(way / edges)
        last = here
        result[row] = np.mean(np.sum(path**2, axis=1))
    return result


def plot(path, picture):
    with h5py.File(path) as log:
        thermo, trajectory = log["thermo"], log["trajectory"]
        edges = np.diagonal(log["init/box"][...])
        figure, (upper, middle, lower) = plt.subplots(3, 1, sharex=True, figsize=(7, 8), constrained_layout=True)
        time = thermo["time"][...]
        for name in "potential_energy", "kinetic_energy", "total_energy":
            upper.plot(time, thermo[name][...], label=name.replace("_", " "))
        upper.set_ylabel("energy (kJ/mol)")
        upper.legend()
        middle.plot(time, thermo["temperature"][...], color="tab:red")
        middle.set_ylabel("temperature (K)")
        lower.plot(trajectory["time"][...], mean_square_displacement(trajectory["position"], edges), color="black")
        lower.set_ylabel("mean-square\ndisplacement (nm$^2$)")
        lower.set_xlabel("time (ps)")
        figure.suptitle(f"{trajectory['position'].shape[1]} atoms, steps {thermo['step'][0]} to {thermo['step'][-1]}")
        figure.savefig(picture, dpi=120)
        plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description="Plot energies and mean-square displacement of a log of md_argon.")
    parser.add_argument("log")
    parser.add_argument("picture", help="a PNG, PDF or SVG file to write")
    arguments = parser.parse_args()
    plot(arguments.log, arguments.picture)


if __name__ == "__main__":
    main()
