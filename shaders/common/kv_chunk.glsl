// 8 dims of a K, V or q row as floats. The includer defines KV_Q(i), KV_K(i), KV_V(i): the i-th 16
// bytes of q (vec4) and of the caches (uvec4); KV_K2(i), KV_V2(i): 8 bytes (uvec2); KV_K1(i),
// KV_V1(i): 4 bytes.

void kv_halves(uvec4 w, out float x[8])
{
    vec2 a = unpackHalf2x16(w.x), b = unpackHalf2x16(w.y);
    vec2 c = unpackHalf2x16(w.z), d = unpackHalf2x16(w.w);
    x = float[8](a.x, a.y, b.x, b.y, c.x, c.y, d.x, d.y);
}

void kv_floats(vec4 a, vec4 b, out float x[8])
{
    x = float[8](a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w);
}

void kv_bytes(uvec2 w, float d, out float x[8])
{
    ivec4 at = ivec4(24, 16, 8, 0);
    vec4 a = vec4((ivec4(w.x) << at) >> 24) * d, b = vec4((ivec4(w.y) << at) >> 24) * d;
    kv_floats(a, b, x);
}

void kv_nibbles(uint w, float d, out float x[8])
{
    uvec4 at = uvec4(0, 4, 8, 12);
    vec4 a = vec4(ivec4(uvec4(w) >> at & 15u) - 8), b = vec4(ivec4(uvec4(w) >> at + 16u & 15u) - 8);
    kv_floats(a * d, b * d, x);
}

// Where the scales of a quantized cache begin, in words; the word and half of a chunk's scale.
uint kv_scales(uint type)
{
    return kv_n * slots * (HEAD_DIM / (type == KV_Q8_0 ? 4 : 8));
}

float kv_half_of(uint pair, uint chunk)
{
    vec2 scales = unpackHalf2x16(pair);
    return (chunk & 4u) == 0u ? scales.x : scales.y;
}

void kv_load_q(uint chunk, out float x[8])
{
    kv_floats(KV_Q(chunk * 2), KV_Q(chunk * 2 + 1), x);
}

// What kv_load_k and kv_load_v read, as it lies in the cache, for use later. Not of f32.
uvec4 kv_hold_k(uint chunk)
{
    if (K_TYPE == KV_F16) {
        return KV_K(chunk);
    }
    uint scales = KV_K1(kv_scales(K_TYPE) + (chunk >> 3));
    return K_TYPE == KV_Q8_0 ? uvec4(KV_K2(chunk), scales, 0u) : uvec4(KV_K1(chunk), 0u, scales, 0u);
}

uvec4 kv_hold_v(uint chunk)
{
    if (V_TYPE == KV_F16) {
        return KV_V(chunk);
    }
    uint scales = KV_V1(kv_scales(V_TYPE) + (chunk >> 3));
    return V_TYPE == KV_Q8_0 ? uvec4(KV_V2(chunk), scales, 0u) : uvec4(KV_V1(chunk), 0u, scales, 0u);
}

// The values of what was held.
void kv_held(uint type, uvec4 w, uint chunk, out float x[8])
{
    if (type == KV_F16) {
        kv_halves(w, x);
    } else if (type == KV_Q8_0) {
        kv_bytes(w.xy, kv_half_of(w.z, chunk), x);
    } else {
        kv_nibbles(w.x, kv_half_of(w.z, chunk), x);
    }
}

void kv_load_k(uint chunk, out float x[8])
{
    if (K_TYPE == KV_F32) {
        kv_floats(uintBitsToFloat(KV_K(chunk * 2)), uintBitsToFloat(KV_K(chunk * 2 + 1)), x);
    } else if (K_TYPE == KV_F16) {
        kv_halves(KV_K(chunk), x);
    } else {
        float d = kv_half_of(KV_K1(kv_scales(K_TYPE) + (chunk >> 3)), chunk);
        if (K_TYPE == KV_Q8_0) {
            kv_bytes(KV_K2(chunk), d, x);
        } else {
            kv_nibbles(KV_K1(chunk), d, x);
        }
    }
}

void kv_load_v(uint chunk, out float x[8])
{
    if (V_TYPE == KV_F32) {
        kv_floats(uintBitsToFloat(KV_V(chunk * 2)), uintBitsToFloat(KV_V(chunk * 2 + 1)), x);
    } else if (V_TYPE == KV_F16) {
        kv_halves(KV_V(chunk), x);
    } else {
        float d = kv_half_of(KV_V1(kv_scales(V_TYPE) + (chunk >> 3)), chunk);
        if (V_TYPE == KV_Q8_0) {
            kv_bytes(KV_V2(chunk), d, x);
        } else {
            kv_nibbles(KV_V1(chunk), d, x);
        }
    }
}
