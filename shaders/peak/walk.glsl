/* Which elements an invocation takes: eight at a time, `walk_step` apart. Workgroups that run side by
 * side share what they walk through; where one runs after the other (CPU devices) each has a part of
 * its own, for the sake of the processor's prefetching. */
layout(constant_id = 1) const uint IN_PARTS = 0;

uint walk_step()
{
    return IN_PARTS != 0 ? gl_WorkGroupSize.x : gl_NumWorkGroups.x * gl_WorkGroupSize.x;
}

uint walk_first()
{
    uint part = push.count / gl_NumWorkGroups.x;
    return IN_PARTS != 0 ? gl_WorkGroupID.x * part + gl_LocalInvocationID.x
                         : gl_GlobalInvocationID.x;
}

/* The same for all, so that the loop is uniform. */
uint walk_count()
{
    return push.count / (8 * gl_NumWorkGroups.x * gl_WorkGroupSize.x);
}
