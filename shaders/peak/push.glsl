/* What the kernels for the ceilings have in common. One invocation writes one word (the matrix
 * kernel: a subgroup one matrix), so that nothing can be left out. */
layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

layout(push_constant) uniform push_block
{
    uint count;  /* elements to read or copy: a multiple of 8 times the invocations */
    uint repeat; /* of the loop of an arithmetic kernel */
    float a, b;
}
push;

/* Sixteen times the same statement. */
#define TIMES4(step) step step step step
#define TIMES16(step) TIMES4(step) TIMES4(step) TIMES4(step) TIMES4(step)
