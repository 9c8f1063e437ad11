// silu(x), x times its logistic function (Elfwing et al. 2017).
vec4 silu_gate(vec4 x)
{
    return x / (1.0 + exp(-x));
}
