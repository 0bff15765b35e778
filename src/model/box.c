#include "model/box.h"

#include <math.h>
#include <stddef.h>

static trajlog_status refuse(const char *what, double value)
{
    struct error error = {0};
    error_set(&error, TRAJLOG_INVALID_ARGUMENT, 0, "box: %s, got %g", what, value);
    error_remember(&error);
    return TRAJLOG_INVALID_ARGUMENT;
}

static trajlog_status refuse_null(void)
{
    struct error error = {0};
    error_set(&error, TRAJLOG_INVALID_ARGUMENT, 0, "box: a pointer is NULL");
    error_remember(&error);
    return TRAJLOG_INVALID_ARGUMENT;
}

static trajlog_status check_bounds(const double low[3], const double high[3], const double tilt[3])
{
    for (int k = 0; k < 3; k++) {
        if (!isfinite(low[k])) return refuse("a lower bound must be finite", low[k]);
        if (!isfinite(high[k]) || high[k] <= low[k]) {
            return refuse("an upper bound must be finite and above the lower one", high[k]);
        }
        if (tilt != NULL && !isfinite(tilt[k])) return refuse("a tilt must be finite", tilt[k]);
    }
    return TRAJLOG_OK;
}

/* Edge vectors as rows; lower triangular, as LAMMPS's are. */
static void set_edges(double edges[9], const double length[3], double xy, double xz, double yz)
{
    edges[0] = length[0];
    edges[1] = 0;
    edges[2] = 0;
    edges[3] = xy;
    edges[4] = length[1];
    edges[5] = 0;
    edges[6] = xz;
    edges[7] = yz;
    edges[8] = length[2];
}

trajlog_status trajlog_box_from_lammps(const double low[3], const double high[3], const double tilt[3], double edges[9])
{
    if (low == NULL || high == NULL || edges == NULL) return refuse_null();
    TRY(check_bounds(low, high, tilt));
    const double length[3] = {high[0] - low[0], high[1] - low[1], high[2] - low[2]};
    set_edges(edges, length, tilt == NULL ? 0 : tilt[0], tilt == NULL ? 0 : tilt[1], tilt == NULL ? 0 : tilt[2]);
    return TRAJLOG_OK;
}

trajlog_status trajlog_box_from_lammps_dump(const double low_bound[3], const double high_bound[3], const double tilt[3],
                                            double edges[9], double origin[3])
{
    if (low_bound == NULL || high_bound == NULL || edges == NULL) return refuse_null();
    TRY(check_bounds(low_bound, high_bound, tilt));
    const double xy = tilt == NULL ? 0 : tilt[0], xz = tilt == NULL ? 0 : tilt[1], yz = tilt == NULL ? 0 : tilt[2];
    const double low[3] = {low_bound[0] - fmin(fmin(0, xy), fmin(xz, xy + xz)), low_bound[1] - fmin(0, yz),
                           low_bound[2]};
    const double high[3] = {high_bound[0] - fmax(fmax(0, xy), fmax(xz, xy + xz)), high_bound[1] - fmax(0, yz),
                            high_bound[2]};
    TRY(trajlog_box_from_lammps(low, high, tilt, edges));
    for (int k = 0; origin != NULL && k < 3; k++) origin[k] = low[k];
    return TRAJLOG_OK;
}

/* Right angles must give exact zeros, so that an orthogonal box is recognised as one. */
static double cosine_of_degrees(double angle)
{
    if (angle == 90) return 0;
    if (angle == 60) return 0.5;
    if (angle == 120) return -0.5;
    return cos(angle * 0x1.921fb54442d18p+1 / 180);
}

static double sine_from_cosine(double angle, double cosine)
{
    return angle == 90 ? 1 : sqrt((1 - cosine) * (1 + cosine));
}

trajlog_status trajlog_box_from_lengths_angles(const double lengths[3], const double angles[3], double edges[9])
{
    double cosine[3] = {0, 0, 0};
    if (lengths == NULL || edges == NULL) return refuse_null();
    for (int k = 0; k < 3; k++) {
        if (!isfinite(lengths[k]) || lengths[k] <= 0) return refuse("a length must be finite and positive", lengths[k]);
        if (angles == NULL) continue;
        if (!(angles[k] > 0 && angles[k] < 180)) return refuse("an angle must be between 0 and 180 degrees", angles[k]);
        cosine[k] = cosine_of_degrees(angles[k]);
    }
    const double gamma = angles == NULL ? 90 : angles[2];
    const double sine = sine_from_cosine(gamma, cosine[2]);
    const double along_y = (cosine[0] - cosine[1] * cosine[2]) / sine;
    const double height = 1 - cosine[1] * cosine[1] - along_y * along_y;
    if (!(height > 0)) return refuse("three such angles do not close to a box; the squared height is", height);
    const double diagonal[3] = {lengths[0], lengths[1] * sine, lengths[2] * sqrt(height)};
    set_edges(edges, diagonal, lengths[1] * cosine[2], lengths[2] * cosine[1], lengths[2] * along_y);
    return TRAJLOG_OK;
}
