/* SPDX-License-Identifier: MIT
 *
 * A load generator for brokers, one thread on epoll. It knows no protocol: a plan on standard
 * input says how each connection logs in (bytes to send, bytes to wait for), what a sender sends,
 * and by which bytes a receiver knows a message. So every dialect is measured by the same loop.
 *
 * The plan, one word-separated line each, bytes in hex ("-" for none):
 *   conn HOST PORT TLS               a connection; the lines that follow belong to it; TLS 0 none,
 *                                    1 from the beginning (1.3), 2 after a line in the clear (NATS)
 *   step SEND EXPECT                 log in: send, then wait until EXPECT has been heard
 *   send MESSAGE                     it is a sender, of this message; each twelve "@" in it become
 *                                    a number, another one each time
 *   recv NEEDLE ACK EVERY COUNTS     what it hears is searched for NEEDLE; ACK, a printf format of
 *                                    one %ld, is sent after EVERY found; EVERY 0: ACK is sent for
 *                                    each, with the two bytes before the NEEDLE behind it (MQTT's
 *                                    packet number); COUNTS 1: each is a message of its pair
 *   ping NEEDLE ANSWER               NEEDLE is answered, so that what only receives isn't closed as dead
 *   pair SENDER RECEIVER             connection numbers, from 0
 *   clock PID                        a process of the server's, whose CPU time is counted
 *   run WINDOW SECONDS WARMUP SPIN RATE BURST ROVING
 *                                    WINDOW messages in flight a pair; SPIN 1 polls without sleeping;
 *                                    RATE messages a second over all pairs, BURST of one pair at a
 *                                    time, 0 for as many as go; ROVING 1: WINDOW messages in flight
 *                                    in all, and the next one is the next pair's
 *
 * It says "ready" when all are logged in. Then each line that comes is a lap: the traffic begins, is
 * measured once it is warm, and stops; and one JSON object is printed: sent, received, lost, seconds,
 * cpu (seconds of the processes, user and system, while it was measured), and the latency's percentiles
 * in microseconds. At a RATE the latency counts from when a message was due, so that a server that
 * stalls is not excused the messages that waited for it. It leaves when its input ends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE (256 * 1024)
#define MAX_STEPS 12
#define BUCKETS 4096 /* of the latency histogram: 16 a doubling */
#define DIGITS 12
#define NUMBERS 4    /* in a message, at most */
#define PATIENCE 8.0  /* seconds that a slow server is given for what is in flight */
#define DEEPEST 1024 /* in flight of one pair, at a rate */
#define MAX_CLOCKS 64

struct bytes { char *data; size_t size; char *number[NUMBERS]; };
struct step { struct bytes send, expect; };

struct conn {
    char host[64]; int port, secure;
    int fd, steps, next, logged_in, sender, receiver;
    SSL *ssl;
    struct step step[MAX_STEPS];
    struct bytes message, needle, ack, ping, pong;
    long every, taken, acked;
    char *out; size_t out_size, out_room, out_sent; /* what the socket wouldn't take yet */
    char tail[4096]; size_t tail_size;              /* the end of what was heard, for split needles */
    struct pair *pair;
    int wants_write;
};

struct pair {
    struct conn *from, *to;
    double *sent_at; long window, head, count;      /* a ring of the times of those in flight */
};

static struct conn *conns; static int conn_count, conn_room;
static struct pair *pairs; static int pair_count, pair_room;
static clockid_t clocks[MAX_CLOCKS]; static int clock_count;
static int epoll, running, spin, roving, at_once;
static long window, burst = 1, sent, received, warmed, histogram[BUCKETS];
static double seconds, warmup, rate, slowest;
static SSL_CTX *tls;
static char buffer[READ_SIZE + 8192];

static void fail(const char *what) { fprintf(stderr, "load: %s: %s\n", what, strerror(errno)); exit(1); }

static double clock_seconds(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t) < 0) fail("clock");
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static double now(void) { return clock_seconds(CLOCK_MONOTONIC); }

static double cpu_seconds(void) {
    double total = 0;
    for (int i = 0; i < clock_count; i++) total += clock_seconds(clocks[i]);
    return total;
}

static struct bytes unhex(const char *text) {
    struct bytes bytes = {NULL, 0, {NULL}};
    if (strcmp(text, "-") == 0) return bytes;
    bytes.size = strlen(text) / 2;
    bytes.data = calloc(bytes.size + 1, 1);
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned value;
        if (sscanf(text + 2 * i, "%2x", &value) != 1) { errno = EINVAL; fail("hex"); }
        bytes.data[i] = (char)value;
    }
    return bytes;
}

static void watch(struct conn *c, int writing) {
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = c};
    if (c->wants_write == writing) return;
    c->wants_write = writing;
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event) < 0) fail("epoll_ctl");
}

static ssize_t put(struct conn *c, const char *data, size_t size) {
    if (c->ssl) {
        int n = SSL_write(c->ssl, data, (int)size);
        if (n > 0) return n;
        int error = SSL_get_error(c->ssl, n);
        if (error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ) return 0;
        fail("TLS write");
    }
    ssize_t n = send(c->fd, data, size, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) fail("send");
    return n < 0 ? 0 : n;
}

static void flush(struct conn *c) {
    while (c->out_sent < c->out_size) {
        ssize_t n = put(c, c->out + c->out_sent, c->out_size - c->out_sent);
        if (n == 0) { watch(c, 1); return; }
        c->out_sent += (size_t)n;
    }
    c->out_size = c->out_sent = 0;
    watch(c, 0);
}

static void queue(struct conn *c, const char *data, size_t size) {
    if (c->out_size + size > c->out_room) {
        c->out_room = 2 * (c->out_size + size) + 4096;
        c->out = realloc(c->out, c->out_room);
    }
    memcpy(c->out + c->out_size, data, size);
    c->out_size += size;
}

static void next_step(struct conn *c) {
    if (c->next == c->steps) { c->logged_in = 1; return; }
    struct step *step = &c->step[c->next];
    queue(c, step->send.data, step->send.size);
    flush(c);
    if (step->expect.size == 0) { c->next++; next_step(c); }
}

static void find_numbers(struct bytes *message) {
    char *from = message->data, *end = message->data + message->size;
    for (int i = 0; i < NUMBERS && from; i++) {
        from = memmem(from, (size_t)(end - from), "@@@@@@@@@@@@", DIGITS);
        message->number[i] = from;
        from = from ? from + DIGITS : NULL;
    }
}

static void send_messages(struct pair *pair, long count, double then) {
    static long serial;
    struct bytes *message = &pair->from->message;
    char digits[32];
    for (long i = 0; i < count; i++) {
        for (int j = 0; j < NUMBERS && message->number[j]; j++) {
            snprintf(digits, sizeof digits, "%012ld", serial++);
            memcpy(message->number[j], digits, DIGITS);
        }
        pair->sent_at[(pair->head + pair->count++) % pair->window] = then;
        queue(pair->from, message->data, message->size);
    }
    sent += count;
    flush(pair->from);
}

static struct pair *next_pair(void) {
    static int turn_of;
    turn_of = (turn_of + 1) % pair_count;
    return &pairs[turn_of];
}

static void record(double latency) {
    long us = (long)(latency * 1e6), bucket = us;
    if (us >= 16) {
        int log = 63 - __builtin_clzl((unsigned long)us);
        bucket = (log - 3) * 16 + ((us >> (log - 4)) & 15);
    }
    if (latency > slowest) slowest = latency;
    histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
}

static double percentile(double part) {
    long total = 0, seen = 0;
    for (int i = 0; i < BUCKETS; i++) total += histogram[i];
    for (int i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if (seen && seen >= total * part) {
            if (i < 16) return i;
            int log = i / 16 + 3;
            return (double)((16L + i % 16) << (log - 4));
        }
    }
    return 0;
}

/* How many needles, and in *rest where the bytes after the last one begin. */
static long count_needles(struct conn *c, const char *data, size_t size, const char **rest) {
    long found = 0;
    const char *end = data + size, *p = data;
    *rest = data;
    while ((p = memmem(p, (size_t)(end - p), c->needle.data, c->needle.size))) {
        found++;
        if (!c->every && c->ack.size && p - data >= 2) {
            queue(c, c->ack.data, c->ack.size);
            queue(c, p - 2, 2);
        }
        *rest = p += c->needle.size;
    }
    return found;
}

static void acknowledge(struct conn *c, long found) {
    c->taken += found;
    if (!c->ack.size || c->taken - c->acked < c->every) return;
    if (c->every) {
        char text[256];
        int size = snprintf(text, sizeof text, c->ack.data, c->taken);
        c->acked = c->taken;
        queue(c, text, (size_t)size);
    }
    flush(c);
}

static void arrived(struct conn *c, long found) {
    struct pair *pair = c->pair;
    acknowledge(c, found);
    if (!c->receiver || !pair) return;
    double then = now();
    if (running) received += found;
    else warmed += found;
    for (long i = 0; i < found && pair->count; i++) {
        if (running) record(then - pair->sent_at[pair->head]);
        pair->head = (pair->head + 1) % pair->window;
        pair->count--;
    }
    if (rate != 0 || running < 0) return;
    if (!roving) send_messages(pair, found, then);
    else while (found--) send_messages(next_pair(), 1, then);
}

static void heard(struct conn *c, char *data, size_t size) {
    if (!c->logged_in) {
        struct step *step = &c->step[c->next];
        if (memmem(data, size, step->expect.data, step->expect.size)) {
            c->tail_size = 0;
            c->next++;
            next_step(c);
            return;
        }
        size_t keep = size < sizeof c->tail ? size : sizeof c->tail;
        memmove(c->tail, data + size - keep, keep);
        c->tail_size = keep;
        return;
    }
    if (c->ping.size && memmem(data, size, c->ping.data, c->ping.size)) {
        queue(c, c->pong.data, c->pong.size);
        flush(c);
    }
    if (!c->needle.size) { c->tail_size = 0; return; }
    const char *rest;
    long found = count_needles(c, data, size, &rest);
    /* the beginning of a needle and the two bytes before it, in case it is split over two reads */
    size_t keep = (size_t)(data + size - rest), most = c->needle.size + 1;
    if (keep > most) keep = most;
    memmove(c->tail, data + size - keep, keep);
    c->tail_size = keep;
    if (found) arrived(c, found);
}

static void readable(struct conn *c) {
    for (;;) {
        memcpy(buffer, c->tail, c->tail_size);
        ssize_t n;
        if (c->ssl) {
            n = SSL_read(c->ssl, buffer + c->tail_size, READ_SIZE);
            if (n <= 0) {
                if (SSL_get_error(c->ssl, (int)n) == SSL_ERROR_WANT_READ) return;
                errno = ECONNRESET;
                fail("TLS read");
            }
        } else {
            n = recv(c->fd, buffer + c->tail_size, READ_SIZE, 0);
            if (n < 0 && errno == EAGAIN) return;
            if (n <= 0) { if (n == 0) errno = ECONNRESET; fail("recv"); }
        }
        heard(c, buffer, c->tail_size + (size_t)n);
        if (!c->ssl) return;
    }
}

static void turn(int timeout) {
    struct epoll_event events[512];
    int n = epoll_wait(epoll, events, 512, timeout);
    for (int i = 0; i < n; i++) {
        struct conn *c = events[i].data.ptr;
        if (!c) continue; /* the standard input */
        if (events[i].events & EPOLLOUT) flush(c);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
    }
}

static void open_conn(struct conn *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)c->port)};
    inet_pton(AF_INET, c->host, &address.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    int one = 1;
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c->secure) {
        char byte = 0;
        while (c->secure == 2 && byte != '\n')
            if (recv(c->fd, &byte, 1, 0) != 1) fail("first line");
        c->ssl = SSL_new(tls);
        SSL_set_fd(c->ssl, c->fd);
        SSL_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        if (SSL_connect(c->ssl) != 1) fail("TLS handshake");
    }
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll_ctl");
    next_step(c);
}

static void read_plan(void) {
    char *line = NULL; size_t room = 0; ssize_t size;
    while ((size = getline(&line, &room, stdin)) > 0) {
        char *word[9]; int words = 0;
        for (char *p = strtok(line, " \n"); p && words < 9; p = strtok(NULL, " \n")) word[words++] = p;
        struct conn *c = conn_count ? &conns[conn_count - 1] : NULL;
        if (!words) continue;
        if (!strcmp(word[0], "conn")) {
            if (conn_count == conn_room) { errno = E2BIG; fail("too many connections"); }
            c = &conns[conn_count++];
            snprintf(c->host, sizeof c->host, "%s", word[1]);
            c->port = atoi(word[2]);
            c->secure = atoi(word[3]);
        } else if (!strcmp(word[0], "step")) {
            c->step[c->steps++] = (struct step){unhex(word[1]), unhex(word[2])};
        } else if (!strcmp(word[0], "send")) {
            c->sender = 1;
            c->message = unhex(word[1]);
            find_numbers(&c->message);
        } else if (!strcmp(word[0], "recv")) {
            c->receiver = atoi(word[4]);
            c->needle = unhex(word[1]);
            c->ack = unhex(word[2]);
            c->every = atol(word[3]);
        } else if (!strcmp(word[0], "ping")) {
            c->ping = unhex(word[1]);
            c->pong = unhex(word[2]);
        } else if (!strcmp(word[0], "pair")) {
            pairs[pair_count++] = (struct pair){.from = &conns[atoi(word[1])], .to = &conns[atoi(word[2])]};
        } else if (!strcmp(word[0], "clock")) {
            if (clock_count == MAX_CLOCKS || clock_getcpuclockid(atoi(word[1]), &clocks[clock_count++])) {
                errno = EINVAL;
                fail("clock");
            }
        } else if (!strcmp(word[0], "run")) {
            window = atol(word[1]); seconds = atof(word[2]); warmup = atof(word[3]);
            spin = atoi(word[4]); rate = atof(word[5]); burst = atol(word[6]); roving = atoi(word[7]);
            return;
        }
    }
}

static void log_in(void) {
    double end = now() + 300;
    for (int i = 0; i < conn_count; i++) { /* a few at a time: servers bound handshakes */
        open_conn(&conns[i]);
        int behind = i - at_once;
        while (behind >= 0 && !conns[behind].logged_in && now() < end) turn(100);
    }
    for (int i = 0; i < conn_count; i++) {
        while (!conns[i].logged_in && now() < end) turn(100);
        if (!conns[i].logged_in) { errno = ETIMEDOUT; fail("log in"); }
    }
    end = now() + .3; /* servers that form a mesh tell one another who has come */
    while (now() < end) turn(50);
}

/* Until then, and until so many have arrived: all that is in flight at a time, so that a slow server is measured
 * neither with its queues still filling nor over a part of a round. */
static void drive(double until, const long *arrived, long enough) {
    double started = now();
    for (long slot = 0; now() < until || (*arrived < enough && now() < until + PATIENCE);) {
        turn(spin ? 0 : rate ? 1 : 100);
        if (rate == 0) continue;
        for (double due = (now() - started) * rate / burst; slot < due; slot++) {
            struct pair *pair = next_pair(); /* one that is full: the rate can't be kept, and shows as fewer sent */
            if (pair->count + burst <= pair->window) send_messages(pair, burst, started + slot * burst / rate);
        }
    }
}

static long in_flight(void) {
    long count = 0;
    for (int i = 0; i < pair_count; i++) count += pairs[i].count;
    return count;
}

static void launch(void) {
    if (rate != 0) return;
    if (roving) for (long i = 0; i < window; i++) send_messages(next_pair(), 1, now());
    else for (int i = 0; i < pair_count; i++) send_messages(&pairs[i], window, now());
}

static void lap(void) {
    long flight = rate ? 0 : roving ? window : window * pair_count;
    sent = received = warmed = 0;
    slowest = 0;
    memset(histogram, 0, sizeof histogram);
    running = 0;
    launch();
    drive(now() + warmup, &warmed, flight);
    sent = 0;
    running = 1;
    double start = now(), cpu = cpu_seconds();
    drive(start + seconds, &received, flight);
    double took = now() - start;
    cpu = cpu_seconds() - cpu;
    long got = received;
    running = -1;
    for (double end = now() + PATIENCE; in_flight() && now() < end;) turn(10);
    printf("{\"sent\": %ld, \"received\": %ld, \"lost\": %ld, \"seconds\": %.6f, \"cpu\": %.9f, \"p50\": %.0f, "
           "\"p99\": %.0f, \"p999\": %.0f, \"max\": %.0f}\n",
           sent, got, in_flight(), took, cpu, percentile(.5), percentile(.99), percentile(.999), slowest * 1e6);
    fflush(stdout);
    for (int i = 0; i < pair_count; i++) pairs[i].head = pairs[i].count = 0;
}

/* Acknowledge the rest, as who leaves does: else a server keeps it, and hands it over in the middle of what is
 * measured next. Then the receipts that brings. */
static void take_leave(void) {
    for (int more = 1; more;) {
        more = 0;
        for (int i = 0; i < conn_count; i++)
            if (conns[i].every > 0 && conns[i].ack.size && conns[i].taken && conns[i].taken > conns[i].acked) {
                conns[i].every = more = 1;
                acknowledge(&conns[i], 0);
            }
        for (double end = now() + .1; more && now() < end;) turn(10);
    }
}

int main(int argc, char **argv) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    conn_room = pair_room = argc > 1 ? atoi(argv[1]) : 25000; /* load CONNECTIONS AT_ONCE */
    at_once = argc > 2 ? atoi(argv[2]) : 128;
    conns = calloc((size_t)conn_room, sizeof *conns);
    pairs = calloc((size_t)pair_room, sizeof *pairs);
    tls = SSL_CTX_new(TLS_client_method()); /* loopback and our own server: names are not at stake */
    SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
    epoll = epoll_create1(0);
    read_plan();
    log_in();
    for (int i = 0; i < pair_count; i++) {
        pairs[i].window = rate ? DEEPEST : window;
        pairs[i].sent_at = calloc((size_t)pairs[i].window, sizeof(double));
        pairs[i].from->pair = pairs[i].to->pair = &pairs[i];
    }
    for (int i = 0; i < conn_count; i++) /* not all at once: a short lap has its share of acknowledgements */
        if (conns[i].every) conns[i].acked = -(i % conns[i].every);
    puts("ready");
    fflush(stdout);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &event) < 0) fail("epoll_ctl");
    fcntl(0, F_SETFL, O_NONBLOCK);
    char byte;
    for (ssize_t n; (n = read(0, &byte, 1)) != 0;) {
        if (n < 0) turn(200);
        else if (byte == '\n') lap();
    }
    take_leave();
    return 0;
}
