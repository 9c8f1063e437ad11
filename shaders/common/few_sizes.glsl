// Sizes of the kernels for few tokens, and their sums: see matmul_shared.glsl.
#ifndef W_OF_ROW
#define W_OF_ROW(r) // where there are two weights: says of which row r is
#endif

layout(constant_id = 14) const uint X_COLUMNS = 256; // a multiple of 32
layout(constant_id = 15) const uint UNROLL = 1;      // at most 4

const uint MAX_ROWS = 4, MAX_TOKENS = 8, MAX_UNROLL = 4;

float acc[MAX_ROWS * MAX_TOKENS];
