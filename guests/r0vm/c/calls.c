/* The other calls: arguments, environment, cycle count, log, a pipe, a channel of the host's user, assumptions, the input
   digest. Input: none on fd 0; arguments, the variable `GREETING`, the channel `echo`; if the first word of the input digest is
   not zero, that digest is a claim, with a zero control root, that the host must know. Journal: what came back. */
#include "r0vm.h"

static u32 answer[64];

static void commit_answer(u32 bytes) {
    commit_word(bytes);
    commit(answer, bytes > sizeof answer ? sizeof answer : bytes);
}

static void take_arguments(void) {
    u32 count = software(ARGC, NAME("ARGC"), 0, 0, 0, 0, 0);
    commit_word(count);
    for (u32 index = 0; index < count; index++)
        commit_answer(software(ARGV, NAME("ARGV"), answer, 64, index, 0, 0));
}

static void take_variable(const char *name) {
    u32 bytes = software(GETENV, NAME("GETENV"), answer, 64, (u32)name, length(name), 0);
    if (bytes == 0xffffffff)
        commit_text("unset");
    else
        commit_answer(bytes);
}

static void use_pipe(void) {
    u32 ends[2] = {0, 0};
    commit_word(software(PIPE, NAME("PIPE"), ends, 2, 0, 0, 0));
    commit(ends, sizeof ends);
    write(ends[1], "through the pipe", 16);
    commit_answer(read(ends[0], answer, 7));
    commit_answer(read(ends[0], answer, 40));
}

/* A call of the user's own is asked twice: how many bytes there are, then for them. */
static void use_channel(void) {
    static const char request[] = "over the channel";
    u32 bytes = software(USER, "echo", 0, 0, (u32)request, length(request), 0);
    commit_answer(software(USER, "echo", answer, (bytes + 3) / 4, 0, 0, 0));
}

static void claim(void) {
    static u32 assumption[16];
    for (u32 index = 0; index < 8; index++)
        commit_word(assumption[index] = input_word(index));
    if (assumption[0] != 0)
        commit_word(software(VERIFY, NAME("VERIFY_INTEGRITY"), 0, 0, (u32)assumption, 64, 0));
    commit_word(software(VERIFY2, NAME("VERIFY_INTEGRITY2"), 0, 0, (u32)assumption, 64, 0));
}

int main(void) {
    take_arguments();
    take_variable("GREETING");
    take_variable("NOBODY_SETS_THIS");
    use_pipe();
    use_channel();
    claim();
    static const char message[] = "calls: nearly done";
    software(LOG, NAME("LOG"), 0, 0, (u32)message, length(message), 0);
    u64 now = cycles();
    commit(&now, sizeof now);
    /* Numbers that nobody knows end up in memory, not in the journal. */
    commit_word(software(RANDOM, NAME("RANDOM"), answer, 64, 0, 0, 0));
    return 0;
}
