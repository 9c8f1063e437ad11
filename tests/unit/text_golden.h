/* Token ids of the classics-13m vocabulary, BOS first: the prompts of the golden run of the
 * reference implementation, and what follows each of them there (greedy, 96 tokens). */
static const struct golden {
    const char *prompt;
    uint32_t n_tokens, tokens[64];
    const char *greedy_text;
    uint32_t n_greedy, greedy[96];
} GOLDEN[] = {
    {"It was a dark and stormy night, and",
     11,
     {1, 544, 321, 261, 1080, 283, 3138, 4047, 813, 4048, 283},
     "the sun was shining brightly. The sun was setting, and the sun was setting, and the "
     "sun was setting on the horizon, and the sun was shining brightly on the horizon. The"
     " sun was setting, and the sun was setting on the western horizon, and the sun was sh"
     "ining brightly on the horizon. The sun was setting, and the sun was setting on the",
     96,
     {263,  1207, 321, 414,  2184, 2105, 316,  4051, 361, 1207, 321,  966,  899, 4048, 283,  263,
      1207, 321,  966, 899,  4048, 283,  263,  1207, 321, 966,  899,  329,  263, 1046, 788,  280,
      4048, 283,  263, 1207, 321,  414,  2184, 2105, 316, 329,  263,  1046, 788, 280,  4051, 361,
      1207, 321,  966, 899,  4048, 283,  263,  1207, 321, 966,  899,  329,  263, 265,  287,  1797,
      1046, 788,  280, 4048, 283,  263,  1207, 321,  414, 2184, 2105, 316,  329, 263,  1046, 788,
      280,  4051, 361, 1207, 321,  966,  899,  4048, 283, 263,  1207, 321,  966, 899,  329,  263}},
    {"The captain looked at the sea and said,",
     10,
     {1, 361, 3753, 848, 363, 263, 1595, 283, 417, 4048},
     "\"I'm going to get a good boat, and I'll get a good boat, and I'll get a good boat, "
     "and get a good boat, and then I'll get a good boat, and I'll get a good boat, and th"
     "en I'll get a good boat, and I'll get a good boat, and then I'll get a good boat, an"
     "d I'll get a good boat, and I'll",
     96,
     {322,  4055, 4057, 4042, 972,  281,  764,  261,  683,  2455, 4048, 283,  300,  4057,
      289,  764,  261,  683,  2455, 4048, 283,  300,  4057, 289,  764,  261,  683,  2455,
      4048, 283,  764,  261,  683,  2455, 4048, 283,  592,  300,  4057, 289,  764,  261,
      683,  2455, 4048, 283,  300,  4057, 289,  764,  261,  683,  2455, 4048, 283,  592,
      300,  4057, 289,  764,  261,  683,  2455, 4048, 283,  300,  4057, 289,  764,  261,
      683,  2455, 4048, 283,  592,  300,  4057, 289,  764,  261,  683,  2455, 4048, 283,
      300,  4057, 289,  764,  261,  683,  2455, 4048, 283,  300,  4057, 289}},
    {"My dear Elizabeth, you must know that",
     12,
     {1, 1334, 1192, 2260, 788, 624, 1313, 4048, 328, 654, 556, 318},
     "I am not a man of the world, and that I am not a man of the world, but a man of the "
     "world, who has been so long and so long, and who has so little to do with me. I am n"
     "ot a man to be a man, and I am not a man to be a man, but a man to be a man, and I a"
     "m a man, and I am a man, and I am a man, and I am",
     96,
     {300,  557, 353,  261,  446, 282, 263,  965,  4048, 283, 318,  300, 557,  353,  261, 446,
      282,  263, 965,  4048, 398, 261, 446,  282,  263,  965, 4048, 449, 627,  484,  383, 662,
      283,  383, 662,  4048, 283, 449, 627,  383,  610,  281, 418,  342, 367,  4051, 300, 557,
      353,  261, 446,  281,  303, 261, 446,  4048, 283,  300, 557,  353, 261,  446,  281, 303,
      261,  446, 4048, 398,  261, 446, 281,  303,  261,  446, 4048, 283, 300,  557,  261, 446,
      4048, 283, 300,  557,  261, 446, 4048, 283,  300,  557, 261,  446, 4048, 283,  300, 557}},
    {"Once upon a time there was a little girl who",
     12,
     {1, 1205, 327, 611, 261, 585, 467, 321, 261, 610, 1025, 449},
     "was a little girl, and who was a little girl, and who was a little girl, and who was"
     " a little girl, and who was a little girl, and who was a little girl, and who was a "
     "little girl, and who was a little girl, and who was a little girl, and who was a lit"
     "tle girl, and who was a little girl, and who was a little girl, and who was a little"
     " girl, and who was a little girl,",
     96,
     {321, 261, 610, 1025, 4048, 283, 449, 321, 261, 610, 1025, 4048, 283, 449,
      321, 261, 610, 1025, 4048, 283, 449, 321, 261, 610, 1025, 4048, 283, 449,
      321, 261, 610, 1025, 4048, 283, 449, 321, 261, 610, 1025, 4048, 283, 449,
      321, 261, 610, 1025, 4048, 283, 449, 321, 261, 610, 1025, 4048, 283, 449,
      321, 261, 610, 1025, 4048, 283, 449, 321, 261, 610, 1025, 4048, 283, 449,
      321, 261, 610, 1025, 4048, 283, 449, 321, 261, 610, 1025, 4048, 283, 449,
      321, 261, 610, 1025, 4048, 283, 449, 321, 261, 610, 1025, 4048}},
};

/* What llama.cpp's tokenizer gives for harder texts, without BOS and without special tokens. */
static const struct hard_golden {
    const char *text;
    size_t bytes;
    uint32_t n_tokens, tokens[40];
} HARD_GOLDEN[] = {
    {"", 0, 0, {0}},
    {" ", 1, 2, {4029, 4029}},
    {"   ", 3, 4, {4029, 4029, 4029, 4029}},
    {"\012", 1, 2, {4029, 13}},
    {"\011\012 \012", 4, 5, {4029, 12, 13, 4029, 13}},
    {"Hello world", 11, 4, {441, 289, 4033, 965}},
    {" Hello world", 12, 5, {4029, 441, 289, 4033, 965}},
    {"  two  spaces ", 14, 7, {4029, 4029, 701, 4029, 526, 1369, 4029}},
    {"don't \342\200\230quote\342\200\231 \342\200\224 dash",
     26,
     16,
     {828, 4057, 4031, 4029, 229, 131, 155, 404, 1931, 229, 131, 156, 4029, 4086, 285, 1452}},
    {"caf\303\251 na\303\257ve \303\234ber",
     18,
     13,
     {1645, 4045, 198, 172, 297, 4032, 198, 178, 311, 4029, 198, 159, 747}},
    {"\346\227\245\346\234\254\350\252\236",
     9,
     10,
     {4029, 233, 154, 168, 233, 159, 175, 235, 173, 161}},
    {"\360\237\246\231 llama \360\237\232\200\360\237\232\200",
     19,
     18,
     {4029, 243, 162, 169, 156, 4029, 289, 366, 4032, 4029, 243, 162, 157, 131, 243, 162, 157,
      131}},
    {"</s> <s> <unk>", 14, 13, {4029, 63, 50, 4037, 65, 4029, 63, 4037, 65, 4029, 63, 2777, 65}},
    {"a\342\226\201b", 5, 2, {261, 272}},
    {"0123456789 3.14159",
     18,
     19,
     {4029, 4094, 4092, 4095, 54, 55, 56, 57, 58, 59, 60, 4029, 54, 4051, 4092, 55, 4092, 56, 60}},
    {"x=y;\015\012\011z++;", 11, 11, {4029, 4065, 64, 4047, 1870, 13, 12, 4081, 46, 46, 4061}},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 31, 31, {261,  4032, 4032, 4032, 4032, 4032, 4032, 4032,
                                                 4032, 4032, 4032, 4032, 4032, 4032, 4032, 4032,
                                                 4032, 4032, 4032, 4032, 4032, 4032, 4032, 4032,
                                                 4032, 4032, 4032, 4032, 4032, 4032, 4032}},
    {"\000nul", 4, 4, {4029, 3, 4034, 403}},
    {"Mr. Darcy, Captain Ahab & Dr. Watson.",
     37,
     18,
     {554, 4051, 495, 293, 2679, 4048, 2264, 355, 269, 4050, 4029, 41, 1972, 4051, 412, 2036, 280,
      4051}},
    {"\357\273\277mark", 7, 4, {4029, 4093, 4042, 724}},
    {"\341\236\200\341\236\266\341\236\223\341\237\213",
     12,
     13,
     {4029, 228, 161, 131, 228, 161, 185, 228, 161, 150, 228, 162, 142}},
};
