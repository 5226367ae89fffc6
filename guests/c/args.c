/* Prints its arguments, one a line, and exits with their number. */
#include "sys.h"

int main(int argc, char **argv)
{
    if (argv[argc] != NULL) {
        err_str("args: no NULL after the last argument\n");
        return 255;
    }
    out_str("argc = ");
    out_u32((u32)argc);
    out_char('\n');
    for (int i = 0; i < argc; i++) {
        out_str("argv[");
        out_u32((u32)i);
        out_str("] = ");
        out_str(argv[i]);
        out_char('\n');
    }
    out_flush();
    return argc;
}
