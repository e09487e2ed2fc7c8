/* Times commands side by side: one of each in turn, ROUNDS times, so that a noisy moment hits all alike.
 *
 *   interleave ROUNDS FILE
 *
 * FILE has one line a command, fields separated by tabs: label, goal, prepare, command. `goal` is the most that the first
 * command may take as a share of this one ("0.5"), or "-". `prepare` is shell, run before each timed run and not timed, or
 * "-". `command` is split at spaces and started without a shell; its output goes to /dev/null.
 * Prints a Markdown table of medians and of the first line's share of each. A command that fails is an error.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST 32
extern char **environ;

struct subject {
    char *label, *goal, *prepare, *words[256];
    double *ms;
    long peak_kb;
};

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int run(struct subject *s, double *ms, long *peak_kb) {
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    pid_t pid;
    struct rusage usage;
    int status;
    double begun = now_ms();
    if (posix_spawnp(&pid, s->words[0], &files, NULL, s->words, environ)) {
        perror(s->words[0]);
        exit(1);
    }
    if (wait4(pid, &status, 0, &usage) != pid) exit(1);
    *ms = now_ms() - begun;
    *peak_kb = usage.ru_maxrss;
    posix_spawn_file_actions_destroy(&files);
    return status;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int rounds = atoi(argv[1]), count = 0;
    FILE *file = fopen(argv[2], "r");
    if (!file || rounds < 1) return 2;
    static struct subject subjects[MOST];
    char *line = NULL;
    size_t room = 0;
    while (count < MOST && getline(&line, &room, file) > 0) {
        line[strcspn(line, "\n")] = 0;
        if (!*line) continue;
        struct subject *s = &subjects[count++];
        char *rest = strdup(line);
        s->label = strsep(&rest, "\t"), s->goal = strsep(&rest, "\t"), s->prepare = strsep(&rest, "\t");
        for (int i = 0; rest && i < 255; i++) s->words[i] = strsep(&rest, " ");
        s->ms = calloc(rounds, sizeof(double));
        if (!s->words[0]) { fprintf(stderr, "a line lacks fields: %s\n", line); return 2; }
    }
    /* Round -1 warms caches and is not counted. */
    for (int round = -1; round < rounds; round++)
        for (int i = 0; i < count; i++) {
            struct subject *s = &subjects[i];
            double ms;
            long peak_kb;
            if (strcmp(s->prepare, "-") && system(s->prepare) != 0) {
                fprintf(stderr, "%s: prepare failed: %s\n", s->label, s->prepare);
                return 1;
            }
            int status = run(s, &ms, &peak_kb);
            if (status) {
                fprintf(stderr, "%s: status %#x\n", s->label, status);
                return 1;
            }
            if (round >= 0) {
                s->ms[round] = ms;
                if (peak_kb > s->peak_kb) s->peak_kb = peak_kb;
            }
        }
    printf("| command | median ms | fastest | slowest | peak MB | %s takes, of this | goal |\n|---|---|---|---|---|---|---|\n", subjects[0].label);
    for (int i = 0; i < count; i++) {
        struct subject *s = &subjects[i];
        qsort(s->ms, rounds, sizeof(double), ascending);
        double middle = s->ms[rounds / 2];
        printf("| %s | %.1f | %.1f | %.1f | %.1f |", s->label, middle, s->ms[0], s->ms[rounds - 1], s->peak_kb / 1024.0);
        if (i) printf(" %.2f | %s |\n", subjects[0].ms[rounds / 2] / middle, strcmp(s->goal, "-") ? s->goal : "");
        else printf(" | |\n");
    }
    return 0;
}
