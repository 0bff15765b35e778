/* read_back: reads a log of md_argon with trajlog's reader, and prints energies and the mean-square displacement.
 *
 *     read_back argon.h5
 *
 * One line for each row of the trajectory; it streams through the positions, so that memory does not grow with the
 * file. Positions are in the box: between two rows each atom is taken to have gone the shortest way. */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trajlog.h"

/* How far the atoms have gone since the first row. */
struct displacement {
    int64_t atoms;
    double edge[3];
    double *last; /* [atoms][3]: positions in the row before */
    double *path; /* [atoms][3] */
    bool started;
};

static double mean_square_displacement(struct displacement *displacement, const double *position)
{
    double sum = 0;
    for (int64_t i = 0; i < 3 * displacement->atoms; i++) {
        double edge = displacement->edge[i % 3];
        double way = displacement->started ? position[i] - displacement->last[i] : 0;
        displacement->path[i] += way - edge * rint(way / edge);
        displacement->last[i] = position[i];
        sum += displacement->path[i] * displacement->path[i];
    }
    displacement->started = true;
    return sum / (double)displacement->atoms;
}

/* The number of atoms and the box: what is needed before the first row. */
static trajlog_status read_system(trajlog_reader *reader, struct displacement *displacement)
{
    double box[3][3];
    int32_t group = trajlog_find_group(reader, "trajectory");
    const trajlog_field_info *position =
        trajlog_reader_field(reader, group, trajlog_find_field(reader, "trajectory", "position"));
    trajlog_status status =
        trajlog_read(reader, "init", "box", trajlog_all_rows(), TRAJLOG_FLOAT64, box, sizeof box, NULL);
    if (status != TRAJLOG_OK) return status;
    displacement->atoms = position == NULL ? 0 : position->shape.dims[0];
    for (int k = 0; k < 3; k++) displacement->edge[k] = box[k][k];
    displacement->last = calloc((size_t)displacement->atoms, sizeof(double[3]));
    displacement->path = calloc((size_t)displacement->atoms, sizeof(double[3]));
    return displacement->last == NULL || displacement->path == NULL ? TRAJLOG_OUT_OF_MEMORY : TRAJLOG_OK;
}

struct energies {
    double potential, kinetic, total, temperature;
};

/* The thermo group is logged at other steps than the trajectory: its row is found by the step. */
static trajlog_status read_energies(trajlog_reader *reader, int64_t step, struct energies *energies)
{
    const trajlog_request requests[] = {
        {"potential_energy", TRAJLOG_FLOAT64, &energies->potential, sizeof energies->potential},
        {"kinetic_energy", TRAJLOG_FLOAT64, &energies->kinetic, sizeof energies->kinetic},
        {"total_energy", TRAJLOG_FLOAT64, &energies->total, sizeof energies->total},
        {"temperature", TRAJLOG_FLOAT64, &energies->temperature, sizeof energies->temperature},
    };
    return trajlog_read_fields(reader, "thermo", trajlog_row_at_step(step), requests,
                               sizeof requests / sizeof requests[0], NULL);
}

static trajlog_status print_block(trajlog_reader *reader, struct displacement *displacement, const trajlog_block *block)
{
    const double *position = block->fields[0];
    for (int64_t i = 0; i < block->row_count; i++) {
        struct energies energies;
        trajlog_status status = read_energies(reader, block->step[i], &energies);
        if (status != TRAJLOG_OK) return status;
        double square = mean_square_displacement(displacement, position + 3 * displacement->atoms * i);
        printf("%8" PRId64 " %10.3f %14.6f %14.6f %14.6f %10.3f %12.6f\n", block->step[i], block->time[i],
               energies.potential, energies.kinetic, energies.total, energies.temperature, square);
    }
    return TRAJLOG_OK;
}

static trajlog_status print_rows(trajlog_reader *reader, struct displacement *displacement)
{
    const char *fields[] = {"position"};
    const trajlog_type types[] = {TRAJLOG_FLOAT64};
    trajlog_stream *stream = NULL;
    trajlog_block block;
    trajlog_status status = trajlog_stream_open(&stream, reader, "trajectory", trajlog_all_rows(), fields, types, 1, 0);
    printf("#%7s %10s %14s %14s %14s %10s %12s\n", "step", "time/ps", "potential", "kinetic", "total/kJ/mol", "T/K",
           "msd/nm^2");
    while (status == TRAJLOG_OK && (status = trajlog_stream_next(stream, &block)) == TRAJLOG_OK)
        status = print_block(reader, displacement, &block);
    trajlog_stream_close(&stream);
    return status == TRAJLOG_END ? TRAJLOG_OK : status;
}

int main(int argc, char **argv)
{
    if (argc != 2 || argv[1][0] == '-') {
        fprintf(stderr, "Usage: %s FILE\n", argv[0]);
        return EXIT_FAILURE;
    }
    trajlog_reader *reader = NULL;
    struct displacement displacement = {0};
    trajlog_status status = trajlog_open(&reader, argv[1]);
    if (status == TRAJLOG_OK) status = read_system(reader, &displacement);
    if (status == TRAJLOG_OK) status = print_rows(reader, &displacement);
    if (status != TRAJLOG_OK) {
        const char *message = trajlog_reader_message(reader);
        fprintf(stderr, "read_back: %s\n", message[0] != '\0' ? message : trajlog_status_text(status));
    }
    trajlog_reader_close(&reader);
    free(displacement.last);
    free(displacement.path);
    return status == TRAJLOG_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
