/* Copies standard input to standard output in upper case (ASCII), reading it
 * to the end a chunk at a time, then prints what it counted. A note about the
 * input goes to standard error.
 *
 *   filter [CHUNK]      bytes asked for at a time, 4096 unless told
 *
 * The counts are those of `wc`: newlines, runs of anything but white space,
 * bytes. They get a line of their own even when the text ends without one.
 */
#include "sys.h"

enum { CHUNK_MAX = 65536 };

int main(int argc, char **argv)
{
    static u8 buf[CHUNK_MAX];
    u32 chunk = arg_u32(argc, argv, 1, 4096, 1, CHUNK_MAX);
    u32 lines = 0, words = 0, bytes = 0, raised = 0;
    u8 last = '\n';
    int in_word = 0;
    long n;

    while ((n = sys_read(0, buf, chunk)) > 0) {
        for (long i = 0; i < n; i++) {
            u8 c = buf[i];
            int space = c == ' ' || (c >= '\t' && c <= '\r');

            lines += c == '\n';
            words += !space && !in_word;
            in_word = !space;
            if (c >= 'a' && c <= 'z') {
                buf[i] = (u8)(c - 'a' + 'A');
                raised++;
            }
        }
        last = buf[n - 1];
        bytes += (u32)n;
        write_all(1, buf, (size_t)n);
    }
    if (n < 0) {
        err_str("filter: cannot read standard input\n");
        return 1;
    }
    err_str("filter: raised ");
    err_u32(raised);
    err_str(" of ");
    err_u32(bytes);
    err_str(" bytes\n");

    if (last != '\n')
        out_char('\n');
    out_str("filter: ");
    out_u32(lines);
    out_str(" lines, ");
    out_u32(words);
    out_str(" words, ");
    out_u32(bytes);
    out_str(" bytes");
    return finish(1);
}
