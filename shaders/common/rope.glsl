// Rotary embedding: the angle of a pair, and its turn.
//
// The angle is pos * scale * base^(-2i/dims) / factor[i]. At a million tokens float32 would lose
// all of it, so it is carried as a sum of two floats: the powers of ratio = base^(-2/dims) come
// from square and multiply in two-float arithmetic (Dekker 1971), pi/2 is taken off in three parts,
// and sine and cosine are polynomials on [-pi/4, pi/4], since Vulkan promises only 2^-11 for its
// own. For positions up to 2^21 a result is off by at most 4 u (|a| + |b|), u = 2^-24. Nothing is
// contracted, so that every kernel makes the same.

// a + b exactly, where |a| >= |b|.
vec2 sum_fast(float a, float b)
{
    precise float s = a + b;
    precise float rest = b - (s - a);
    return vec2(s, rest);
}

// a * b exactly.
vec2 product(float a, float b)
{
    precise float t = a * 4097.0;
    precise float ah = t - (t - a);
    precise float al = a - ah;
    precise float u = b * 4097.0;
    precise float bh = u - (u - b);
    precise float bl = b - bh;
    precise float q = a * b;
    precise float rest = ((ah * bh - q) + ah * bl + al * bh) + al * bl;
    return vec2(q, rest);
}

vec2 times(vec2 a, vec2 b)
{
    vec2 q = product(a.x, b.x);
    precise float low = q.y + (a.x * b.y + a.y * b.x);
    return sum_fast(q.x, low);
}

vec2 divide(vec2 a, float b)
{
    precise float q = a.x / b;
    vec2 back = product(q, b);
    precise float rest = ((a.x - back.x) - back.y) + a.y;
    precise float more = rest / b;
    return sum_fast(q, more);
}

// The angle less the nearest multiple of pi/2; `quadrant` is that multiple, modulo 4.
float reduce(vec2 angle, out uint quadrant)
{
    float n = floor(angle.x * 0.63661977 + 0.5);
    vec2 a = product(n, 1.57079637);           // pi/2 in three parts
    vec2 b = product(n, -4.37113883e-8);
    precise float r = angle.x - a.x;           // exact: both are close
    r = r - b.x;
    r = r + (angle.y - a.y - b.y - n * -1.71512451e-15);
    // n may have been off by one for angles next to the middle: |r| is then just above pi/4.
    quadrant = uint(int(n)) & 3u;
    return r;
}

// scale * ratio^i, all of them sums of two floats.
vec2 rope_power(uint i, vec2 scale, vec2 ratio)
{
    vec2 power = scale, square = ratio;
    for (uint e = i; e != 0u; e >>= 1) {
        if ((e & 1u) != 0u) {
            power = times(power, square);
        }
        square = times(square, square);
    }
    return power;
}

// Cosine and sine of position * power, times magnitude.
vec2 rope_turn(uint position, vec2 power, float magnitude)
{
    uint quadrant;
    // Positions above 2^24 do not fit a float: high and low 12 bits apart.
    vec2 high = times(vec2(float(position >> 12) * 4096.0, 0.0), power);
    vec2 low = times(vec2(float(position & 4095u), 0.0), power);
    precise float rest = high.y + low.y;
    precise float s = high.x + low.x;
    precise float back = s - high.x;
    rest = rest + ((high.x - (s - back)) + (low.x - back));
    float r = reduce(sum_fast(s, rest), quadrant);
    precise float q = r * r;
    precise float sine = -1.9841270e-4 + q * 2.7557319e-6;
    sine = r + r * q * (-1.6666667e-1 + q * (8.3333333e-3 + q * sine));
    precise float cosine = -1.3888889e-3 + q * (2.4801587e-5 - q * 2.7557319e-7);
    cosine = 1.0 + q * (-0.5 + q * (4.1666667e-2 + q * cosine));
    bool even = (quadrant & 1u) == 0u;
    float co = even ? cosine : sine, si = even ? sine : cosine;
    co = quadrant == 1u || quadrant == 2u ? -co : co;
    si = quadrant >= 2u ? -si : si;
    return vec2(co, si) * magnitude;
}

vec2 rope_rotate(vec2 pair, vec2 turn)
{
    precise float a = pair.x * turn.x - pair.y * turn.y;
    precise float b = pair.x * turn.y + pair.y * turn.x;
    return vec2(a, b);
}
