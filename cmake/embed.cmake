# A file as a C array, at build time: cmake -DIN=page.html -DOUT=page.c -DNAME=page -P embed.cmake
# defines `const unsigned char page[]`, with a 0 behind the last byte.
file(READ ${IN} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n" bytes
  "${bytes}")
file(WRITE ${OUT} "/* Generated. */\nextern const unsigned char ${NAME}[];\nconst unsigned char ${NAME}[] = {\n${bytes}0};\n")
