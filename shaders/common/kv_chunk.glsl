// 8 dims of a K, V or q row as floats. The includer defines KV_Q(i), KV_K(i), KV_V(i): the i-th 16
// bytes of q (vec4) and of the caches (uvec4).

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

void kv_load_q(uint chunk, out float x[8])
{
    kv_floats(KV_Q(chunk * 2), KV_Q(chunk * 2 + 1), x);
}

void kv_load_k(uint chunk, out float x[8])
{
    if (K_F32 != 0) {
        kv_floats(uintBitsToFloat(KV_K(chunk * 2)), uintBitsToFloat(KV_K(chunk * 2 + 1)), x);
    } else {
        kv_halves(KV_K(chunk), x);
    }
}

void kv_load_v(uint chunk, out float x[8])
{
    if (V_F32 != 0) {
        kv_floats(uintBitsToFloat(KV_V(chunk * 2)), uintBitsToFloat(KV_V(chunk * 2 + 1)), x);
    } else {
        kv_halves(KV_V(chunk), x);
    }
}
