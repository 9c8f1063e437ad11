// UNIT values of k, turned, and as many of v to the caches. Behind rope_append.glsl and TURN(c), the
// turn of value c of a head; what it gives for those from `dims` on is not used.
void append(uint token, uint slot, uint head, uint unit)
{
    uint from = (token * kv_heads + kv0 + head) * HEAD_DIM, c = unit * UNIT;
    uint to = (head * slots + slot) * HEAD_DIM + c;
    if (BY_BLOCK) {
        uint k[KV_BLOCK], v[KV_BLOCK];
        [[unroll]] for (uint n = 0; n < KV_BLOCK; n += 2) {
            uvec2 pair = turned_k(from, c + n, TURN(c + n), TURN(c + n + 1u));
            k[n] = pair.x;
            k[n + 1] = pair.y;
            v[n] = v1[from + c + n];
            v[n + 1] = v1[from + c + n + 1];
        }
        STORE_BLOCK(K_TYPE, k, k_cache, to)
        STORE_BLOCK(V_TYPE, v, v_cache, to)
    } else {
        uvec2 k = turned_k(from, c, TURN(c), TURN(c + 1u));
        STORE_PAIR(K_TYPE, k, k_cache, to / 2)
        STORE_PAIR(V_TYPE, uvec2(v1[from + c], v1[from + c + 1u]), v_cache, to / 2)
    }
}
