// tanh that neither overflows nor loses small arguments: a series below 1/4, exponentials of negative
// numbers above. Vulkan promises little for its own.
vec4 soft_tanh(vec4 x)
{
    vec4 a = abs(x), q = x * x, t = exp(-2.0 * a);
    vec4 series = -0.33333333 + q * (0.13333333 + q * (-0.053968254 + q * 0.021869489));
    series = a + a * q * series;
    return sign(x) * mix((1.0 - t) / (1.0 + t), series, lessThan(a, vec4(0.25)));
}
