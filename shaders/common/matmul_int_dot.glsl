// What the kernels of matmul and matmul_experts on integer dot products share: a group of 256 makes
// a tile of 64 rows x 64 tokens, 4 x 4 per invocation, 64 columns at a time. Both factors lie in
// shared memory as signed bytes (8 KiB) beside the scales of their blocks; the products of a block
// are added in 32 bits, exactly, and scaled once.
//
// The including shader has p.cols, a multiple of 32, the weights and "format.glsl" of any format that
// has scales, and says which row of the weight and of x are row and token i, within bounds: W_ROW(i),
// X_ROW(i).

layout(binding = 1) readonly buffer x_block
{
    uvec4 units[]; // [token][cols / 16] of signed bytes
}
x;
layout(binding = 4) readonly buffer scale_block
{
    float at[]; // [token][cols / 32]
}
scale;

#ifndef QUANT_INT // raw values are whole numbers in the range of a byte
#define QUANT_INT (1 + QUANT_OFFSET)
uint quant_int4(quant_words words, int i)
{
    ivec4 v = ivec4(quant_raw4(words, i)) & 255;
    return uint(v.x | v.y << 8 | v.z << 16 | v.w << 24);
}
#endif

const uint TILE = 64;
const uint CHUNKS = 2; // of 32 columns between two barriers
const uint FETCHES = 32 / QUANT_STEP;

// By unit of 16 columns, so that neighbours in a row of invocations read neighbours in memory.
shared uvec4 w_tile[2 * CHUNKS * TILE], x_tile[2 * CHUNKS * TILE];
shared vec2 w_scale[CHUNKS * TILE];
shared float x_scale[CHUNKS * TILE];
#if QUANT_INT == 2
shared vec2 w_offset[CHUNKS * TILE], x_sum[CHUNKS * TILE]; // x: scale * sums of 16 quants
#endif

// On their way into the tiles: a chunk of one row or token for each invocation. The first half of
// them takes weights.
quant_words w_words[FETCHES];
quant_head w_head;
uvec4 x_words[2];
float x_by;

bool takes_weights()
{
    return gl_LocalInvocationID.x < TILE * CHUNKS;
}

uint my_chunk(uint first_chunk)
{
    return first_chunk + gl_LocalInvocationID.x % CHUNKS;
}

// A chunk behind the last one is the last one again; `put` gives it no weight.
void fetch(uint first_row, uint first_token, uint first_chunk)
{
    uint chunk = min(my_chunk(first_chunk), (p.cols >> 5) - 1u);
    uint i = gl_LocalInvocationID.x / CHUNKS % TILE;
    if (takes_weights()) {
        quant_row row = quant_get_row(W_ROW(first_row + i));
        uvec4 side = uvec4(0u);
#if QUANT_SIDE != 0
        side = quant_load_side(row, chunk / (QUANT_SIDE / 32));
#endif
        [[unroll]] for (uint f = 0; f < FETCHES; f++) {
            w_words[f] = quant_load(row, chunk * FETCHES + f, side);
        }
        w_head = quant_load_head(row, chunk / (QUANT_HEAD / 32));
    } else {
        uint at = X_ROW(first_token + i) * (p.cols >> 5) + chunk;
        x_words[0] = x.units[2 * at];
        x_words[1] = x.units[2 * at + 1];
        x_by = scale.at[at];
    }
}

uint w_int4(uint n)
{
    const uint PER_FETCH = QUANT_STEP / 4;
    return quant_int4(w_words[n / PER_FETCH], int(n % PER_FETCH));
}

int dot16(uvec4 a, uvec4 b)
{
    int sum = dotPacked4x8EXT(int(a.x), int(b.x)) + dotPacked4x8EXT(int(a.y), int(b.y));
    return sum + dotPacked4x8EXT(int(a.z), int(b.z)) + dotPacked4x8EXT(int(a.w), int(b.w));
}

void put(uint first_chunk)
{
    uint chunk = my_chunk(first_chunk), c = gl_LocalInvocationID.x % CHUNKS;
    uint i = gl_LocalInvocationID.x / CHUNKS % TILE, to = c * TILE + i;
    bool inside = chunk < p.cols >> 5;
    if (takes_weights()) {
        uint of_head = min(chunk, (p.cols >> 5) - 1u) % (QUANT_HEAD / 32);
        w_tile[2 * c * TILE + i] = uvec4(w_int4(0), w_int4(1), w_int4(2), w_int4(3));
        w_tile[(2 * c + 1) * TILE + i] = uvec4(w_int4(4), w_int4(5), w_int4(6), w_int4(7));
        w_scale[to] = inside ? quant_scale(w_head, of_head) : vec2(0.0);
#if QUANT_INT == 2
        w_offset[to] = inside ? quant_offset(w_head, of_head) : vec2(0.0);
#endif
    } else {
        float by = inside ? x_by : 0.0;
        x_scale[to] = by;
        x_tile[2 * c * TILE + i] = x_words[0];
        x_tile[(2 * c + 1) * TILE + i] = x_words[1];
#if QUANT_INT == 2
        const uvec4 ones = uvec4(0x01010101u);
        x_sum[to] = by * vec2(float(dot16(x_words[0], ones)), float(dot16(x_words[1], ones)));
#endif
    }
}

// Rows and tokens of an invocation are 16 apart.
uint my_row(uint r)
{
    return r * 16u + (gl_LocalInvocationID.x & 15u);
}

uint my_token(uint t)
{
    return t * 16u + (gl_LocalInvocationID.x >> 4);
}

void add_products(inout mat4 acc)
{
    [[unroll]] for (uint c = 0; c < CHUNKS; c++) {
        uvec4 w[8];
        vec2 by[4];
        vec4 low_offset, high_offset;
        [[unroll]] for (uint r = 0; r < 4; r++) {
            w[2 * r] = w_tile[2 * c * TILE + my_row(r)];
            w[2 * r + 1] = w_tile[(2 * c + 1) * TILE + my_row(r)];
            by[r] = w_scale[c * TILE + my_row(r)];
#if QUANT_INT == 2
            low_offset[r] = w_offset[c * TILE + my_row(r)].x;
            high_offset[r] = w_offset[c * TILE + my_row(r)].y;
#endif
        }
        [[unroll]] for (uint t = 0; t < 4; t++) {
            uvec4 a = x_tile[2 * c * TILE + my_token(t)];
            uvec4 b = x_tile[(2 * c + 1) * TILE + my_token(t)];
            vec4 sum;
            [[unroll]] for (uint r = 0; r < 4; r++) {
                int low = dot16(w[2 * r], a), high = dot16(w[2 * r + 1], b);
#if QUANT_GROUP == 32
                sum[r] = by[r].x * float(low + high);
#else
                sum[r] = by[r].x * float(low) + by[r].y * float(high);
#endif
            }
            acc[t] += x_scale[c * TILE + my_token(t)] * sum;
#if QUANT_INT == 2
            vec2 of_x = x_sum[c * TILE + my_token(t)];
#if QUANT_GROUP == 32
            acc[t] += (of_x.x + of_x.y) * low_offset;
#else
            acc[t] += of_x.x * low_offset + of_x.y * high_offset;
#endif
#endif
        }
    }
}

// [token][row]: the 4 x 4 sums of this invocation, of my_token(t) and my_row(r).
mat4 multiply(uint first_row, uint first_token)
{
    mat4 acc = mat4(0.0);
    fetch(first_row, first_token, 0u);
    for (uint chunk = 0; chunk < p.cols >> 5; chunk += CHUNKS) {
        put(chunk);
        barrier();
        if (chunk + CHUNKS < p.cols >> 5) {
            fetch(first_row, first_token, chunk + CHUNKS);
        }
        add_products(acc);
        barrier();
    }
    return acc;
}
