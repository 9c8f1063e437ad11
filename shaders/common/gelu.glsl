// The tanh form of GELU (Hendrycks & Gimpel 2016), 0.5 x (1 + tanh(u)) with u = sqrt(2/pi) (x +
// 0.044715 x^3), which is x / (1 + exp(-2u)): so it stays right where tanh's own exponentials would
// overflow.
vec4 gelu_gate(vec4 x)
{
    return x / (1.0 + exp(-1.5957691 * x * (1.0 + 0.044715 * x * x)));
}
