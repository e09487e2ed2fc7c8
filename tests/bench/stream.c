/* A server and a client for measuring what a port forwarder costs.
 *
 *   stream serve PORT                     serves on all addresses until killed
 *   stream up|down HOST PORT SECONDS      one stream; prints Gbit/s
 *   stream connect HOST PORT COUNT        connect, send a byte, get it back, close; prints the median in microseconds
 *
 * HOST is an IPv4 address. The first byte on a connection says what it is for: u, d or e.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 18];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static struct sockaddr_in address(const char *host, const char *port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1) die("address");
    return a;
}

static void serve(const char *port) {
    signal(SIGCHLD, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in a = address("0.0.0.0", port);
    if (bind(listener, (struct sockaddr *)&a, sizeof a) || listen(listener, 512)) die("listen");
    for (;;) {
        int s = accept(listener, NULL, NULL);
        char kind;
        if (s < 0 || read(s, &kind, 1) != 1) {
            close(s);
            continue;
        }
        if (kind == 'e') {
            if (write(s, &kind, 1) != 1) perror("write");
        } else if (fork() == 0) {
            if (kind == 'u')
                while (read(s, buffer, sizeof buffer) > 0) {}
            else
                while (write(s, buffer, sizeof buffer) > 0) {}
            _exit(0);
        }
        close(s);
    }
}

static int open_stream(struct sockaddr_in *a, char kind) {
    int s = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    if (connect(s, (struct sockaddr *)a, sizeof *a)) die("connect");
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (write(s, &kind, 1) != 1) die("write");
    return s;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    if (argc == 3 && !strcmp(argv[1], "serve")) serve(argv[2]);
    if (argc != 5) return 2;
    struct sockaddr_in a = address(argv[2], argv[3]);
    if (!strcmp(argv[1], "connect")) {
        int count = atoi(argv[4]);
        double *took = calloc(count, sizeof(double));
        for (int i = 0; i < count; i++) {
            char byte;
            double begun = now();
            int s = open_stream(&a, 'e');
            if (read(s, &byte, 1) != 1) die("echo");
            took[i] = (now() - begun) * 1e6;
            close(s);
        }
        qsort(took, count, sizeof(double), ascending);
        printf("%.0f\n", took[count / 2]);
        return 0;
    }
    int up = !strcmp(argv[1], "up");
    int s = open_stream(&a, up ? 'u' : 'd');
    double begun = now(), end = begun + atof(argv[4]), bytes = 0;
    while (now() < end) {
        ssize_t n = up ? write(s, buffer, sizeof buffer) : read(s, buffer, sizeof buffer);
        if (n <= 0) die("stream");
        bytes += n;
    }
    printf("%.2f\n", bytes * 8 / (now() - begun) / 1e9);
    return 0;
}
