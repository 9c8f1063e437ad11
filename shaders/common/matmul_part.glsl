// Which part of the columns, and which tokens, a work group of matmul on matrix units has:
// weights_matmul.glsl.

uint token_tiles()
{
    return (p.tokens + TOKENS - 1) / TOKENS;
}

uint part()
{
    return gl_WorkGroupID.x / token_tiles();
}

uint token_begin()
{
    return gl_WorkGroupID.x % token_tiles() * TOKENS;
}

uint col_begin()
{
    return part() * p.part;
}

uint col_end()
{
    return min(col_begin() + p.part, p.cols);
}

uint result_at(uint row, uint token)
{
    return (part() * p.tokens + token) * p.stride + p.row0 + row;
}
