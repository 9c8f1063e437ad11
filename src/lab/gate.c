/* Cases of gated activations: what SwiGLU and GeGLU have alike. */
#include "lab/internal.h"

#include <math.h>

bool lab_gate_make(struct lab *lab, uint32_t (*op)(struct plan *plan, uint32_t gate, uint32_t up),
                   double (*gate)(double x, double *bound))
{
    uint32_t rows = lab_dim(lab, 0), cols = lab_dim(lab, 1);
    lab_tokens(lab, rows, rows);
    uint32_t x = lab_act(lab, "gate", rows, cols, -12, 12);
    uint32_t up = lab_act(lab, "up", rows, cols, -2, 2);
    uint32_t y = op(lab_plan(lab), x, up);
    struct lab_expect e = lab_expect(lab, y);
    if (e.value == NULL) {
        return false;
    }
    float *g = lab_values(lab, x), *u = lab_values(lab, up);
    for (size_t i = 0; i < (size_t)rows * cols; i++) {
        if (i % 97 == 2) { /* where exp overflows, and where it vanishes */
            g[i] *= 40.0f;
        }
        double bound;
        e.value[i] = gate(g[i], &bound) * u[i];
        e.bound[i] = LAB_U * bound * fabs(e.value[i]) + 1e-35;
    }
    return true;
}
