// What the router kernels share: the order of logits, and which of them make no softmax.
#include "common/float_key.glsl"

layout(push_constant) uniform push_block
{
    uint cols; // experts
    uint rows; // tokens
    uint used;
    uint normalise; // the weights of the experts that are used add up to 1
}
p;

const uint NONE = 0xffffffffu;

// A logit as a number of its order (0: NaN), and its expert.
struct choice {
    uint key, expert;
};

const choice NO_CHOICE = choice(0u, NONE);
const choice BEFORE_ALL = choice(NONE, 0u);

// Larger logits first, then lower experts; NaN is behind every number.
bool is_before(choice a, choice b)
{
    return a.key > b.key || (a.key == b.key && a.expert < b.expert);
}

// A largest logit that is infinite: the softmax is NaN.
bool is_infinite(uint key)
{
    return key == 0xff800000u || key == 0x00800000u;
}

const uint NAN_BITS = 0x7fc00000u;
