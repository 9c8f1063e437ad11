// What the lanes kernels of matmul and matmul_experts share: the sums of ROWS x S rows and TOKENS
// tokens, in registers. The including shader has the constants S, ROWS and TOKENS, p.cols, the
// weights (lanes_weights.glsl), "format.glsl" and the texel buffer x; it sets row[] and x_at[],
// calls clear_sums() and add_columns(), and stores.

const uint MAX = 8;
const uint CHUNKS = QUANT_HEAD / 32; // of a head

quant_row row[MAX];
quant_head head[MAX];
uvec4 side[MAX];
float part[MAX * MAX]; // [row][token]: sums of the columns since a scale; without scales, of all
float acc[MAX * MAX];  // [row][token]: sums of the groups before
uint x_at[MAX];        // texel 0 of each token
vec4 x_lanes[MAX * 2]; // columns of the chunk: 4 in a lane; for S = 4, columns 16..31 are in [1]
float x_sum[MAX * 2];  // of the columns of each group of the chunk

vec4 x_fetch(uint token, uint quad)
{
    if (QUANT_GROUP != 0) {
        return texelFetch(x, int(x_at[token] + quad));
    }
    bool inside = quad < p.cols >> 2;
    vec4 v = texelFetch(x, int(x_at[token] + (inside ? quad : 0u)));
    return inside ? v : vec4(0.0);
}

// The sum of each 16 columns, in all their lanes.
float x_sum16(vec4 v)
{
    float sum = (v.x + v.y) + (v.z + v.w);
    sum += subgroupShuffle(sum, gl_SubgroupInvocationID ^ 1u);
    return sum + subgroupShuffle(sum, gl_SubgroupInvocationID ^ 2u);
}

void load_x(uint chunk)
{
    uint quad = chunk * 8 + (gl_SubgroupInvocationID & 7u);
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        x_lanes[2 * t] = x_fetch(t, quad);
        if (S == 4) {
            x_lanes[2 * t + 1] = x_fetch(t, quad + 4);
        }
        if (QUANT_OFFSET != 0) {
            float low = x_sum16(x_lanes[2 * t]), high;
            if (S == 4) {
                high = x_sum16(x_lanes[2 * t + 1]);
            } else {
                high = subgroupShuffle(low, 4);
                low = subgroupShuffle(low, 0);
            }
            x_sum[2 * t] = QUANT_GROUP == 32 ? low + high : low;
            x_sum[2 * t + 1] = high;
        }
    }
}

// Columns 4i..4i+3 of the chunk, in every lane.
vec4 x_quad(uint token, uint i)
{
    vec4 v = x_lanes[2 * token + (S == 4 ? i >> 2 : 0)];
    uint lane = S == 4 ? i & 3 : i;
    return vec4(subgroupShuffle(v.x, lane), subgroupShuffle(v.y, lane),
                subgroupShuffle(v.z, lane), subgroupShuffle(v.w, lane));
}

void load_head(uint h)
{
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        head[r] = quant_load_head(row[r], h);
    }
}

void load_side(uint s)
{
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        side[r] = quant_load_side(row[r], s);
    }
}

// Ends group `g` of the chunk: acc += scale * part + offset * sum of x.
void add_group(uint chunk_of_head, uint g)
{
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        float scale = quant_scale(head[r], chunk_of_head)[g];
        float offset = quant_offset(head[r], chunk_of_head)[g];
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            uint at = r * MAX + t;
            acc[at] += part[at] * scale;
            if (QUANT_OFFSET != 0) {
                acc[at] += offset * x_sum[2 * t + g];
            }
            part[at] = 0.0;
        }
    }
}

// Columns 4i..4i+3 of the chunk; words are the fetch they lie in, as its quad j.
void add_quad(quant_words words[MAX], int j, uint i)
{
    vec4 w[MAX];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        w[r] = quant_raw4(words[r], j);
    }
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        vec4 v = x_quad(t, i);
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            uint at = r * MAX + t;
            part[at] += w[r].x * v.x;
            part[at] += w[r].y * v.y;
            part[at] += w[r].z * v.z;
#ifdef PLANT_ARITHMETIC
            part[at] += w[r].w * v.z;
#else
            part[at] += w[r].w * v.w;
#endif
        }
    }
}

void add_chunk(uint chunk, uint chunk_of_head)
{
    const int QUADS = QUANT_STEP / 4;
    load_x(chunk);
    [[unroll]] for (uint s = 0; s < 32 / QUANT_STEP; s++) {
        uint step = chunk * (32 / QUANT_STEP) + s;
        if (QUANT_GROUP == 0) {
            step = min(step, W_UNITS.x - 1);
        }
        quant_words words[MAX];
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            words[r] = quant_load(row[r], step, side[r]);
        }
        [[unroll]] for (int j = 0; j < QUADS; j++) {
            uint columns = s * QUANT_STEP + j * 4;
            add_quad(words, j, columns / 4);
            if (QUANT_GROUP == 32 ? columns == 28 : QUANT_GROUP == 16 && columns % 16 == 12) {
                add_group(chunk_of_head, QUANT_GROUP == 32 ? 0 : columns / 16);
            }
        }
    }
}

// One loop over chunks is faster than two as long as heads are cheap. To fetch a side unit in every
// chunk that shares it is faster than a branch.
void add_columns()
{
    uint chunks = (p.cols + 31) >> 5;
#if QUANT_HEAD <= 64
    [[dont_unroll]] for (uint c = 0; c < chunks; c++) {
        load_head(c / CHUNKS);
        add_chunk(c, c % CHUNKS);
    }
#else
    [[dont_unroll]] for (uint h = 0; h * CHUNKS < chunks; h++) {
        load_head(h);
        uint n = min(CHUNKS, chunks - h * CHUNKS); // formats of blocks of 32: the last may be short
        [[dont_unroll]] for (uint k = 0; k < n; k++) {
            uint c = h * CHUNKS + k;
#if QUANT_SIDE != 0
            load_side(c / (QUANT_SIDE / 32));
#endif
            add_chunk(c, k);
        }
    }
#endif
}

float sum_of(uint r, uint t)
{
    return QUANT_GROUP == 0 ? part[r * MAX + t] : acc[r * MAX + t];
}

void clear_sums()
{
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            acc[r * MAX + t] = 0.0;
            part[r * MAX + t] = 0.0;
        }
    }
}

// Of row blocks r .. r + 3: lane l gets the sums of their rows 4l .. 4l + 3, which are in one block.
vec4 gather_quad(uint r, uint t)
{
    const uint block = gl_SubgroupInvocationID / (S / 4);
    const uint lane = gl_SubgroupInvocationID % (S / 4) * 4;
    vec4 sum;
    [[unroll]] for (uint i = 0; i < 4; i++) {
        float a = subgroupShuffle(sum_of(r, t), lane + i);
        float b = subgroupShuffle(sum_of(r + 1, t), lane + i);
        float c = subgroupShuffle(sum_of(r + 2, t), lane + i);
        float d = subgroupShuffle(sum_of(r + 3, t), lane + i);
        sum[i] = block < 2 ? (block == 0 ? a : b) : (block == 2 ? c : d);
    }
    return sum;
}
