// Bits of a float -> a number in the same order, 0 for NaN; both zeros are equal. On bits, so that
// no compiler may think NaN away.
uint float_key(uint bits)
{
    uint magnitude = bits & 0x7fffffffu;
    uint key = bits != magnitude ? 0x80000000u - magnitude : 0x80000000u + magnitude;
    return magnitude > 0x7f800000u ? 0u : key;
}

// The number of which it is the key.
float key_value(uint key)
{
    bool positive = key >= 0x80000000u;
    return uintBitsToFloat(positive ? key - 0x80000000u : (0x80000000u - key) | 0x80000000u);
}
