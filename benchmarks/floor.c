/* SPDX-License-Identifier: MIT
 *
 * The floor: what carrying a line from one socket to another costs when nothing else is done.
 * A router on epoll that reads lines, takes the name between "to":" and the next quote, and
 * writes the line to whoever said hello under that name. No checks, no bounds, no security.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE (256 * 1024)
#define SLOTS 65536

struct conn {
    int fd, dirty;
    char name[80];
    char *in; size_t in_size, in_room;
    char *out; size_t out_size, out_room;
};

static struct conn *names[SLOTS];
static struct conn *dirty[SLOTS];
static int dirty_count;
static char buffer[READ_SIZE];

static unsigned hash(const char *name, size_t size) {
    unsigned h = 5381;
    for (size_t i = 0; i < size; i++) h = h * 33 ^ (unsigned char)name[i];
    return h % SLOTS;
}

static struct conn **slot(const char *name, size_t size) {
    unsigned h = hash(name, size);
    while (names[h] && (strlen(names[h]->name) != size || memcmp(names[h]->name, name, size))) h = (h + 1) % SLOTS;
    return &names[h];
}

static void append(char **data, size_t *size, size_t *room, const char *more, size_t count) {
    if (*size + count > *room) {
        *room = 2 * (*size + count) + 4096;
        *data = realloc(*data, *room);
    }
    memcpy(*data + *size, more, count);
    *size += count;
}

static void flush(struct conn *c) {
    ssize_t n = c->out_size ? send(c->fd, c->out, c->out_size, MSG_NOSIGNAL) : 0;
    if (n > 0) {
        memmove(c->out, c->out + n, c->out_size - (size_t)n);
        c->out_size -= (size_t)n;
    }
    c->dirty = 0;
}

static void mark(struct conn *c) {
    if (!c->dirty) { c->dirty = 1; dirty[dirty_count++] = c; }
}

static void line(struct conn *c, char *text, size_t size) {
    char *key = memmem(text, size, c->name[0] ? "\"to\":\"" : "\"username\":\"", c->name[0] ? 6 : 12);
    if (!key) return;
    char *name = key + (c->name[0] ? 6 : 12), *end = memchr(name, '"', size - (size_t)(name - text));
    if (!end) return;
    if (!c->name[0]) {
        struct conn **place = slot(name, (size_t)(end - name));
        memcpy(c->name, name, (size_t)(end - name) < 79 ? (size_t)(end - name) : 79);
        *place = c;
        append(&c->out, &c->out_size, &c->out_room, "{\"message\":\"hello!\"}\n", 21);
        mark(c);
        return;
    }
    struct conn *to = *slot(name, (size_t)(end - name));
    if (!to) return;
    append(&to->out, &to->out_size, &to->out_room, text, size);
    mark(to);
}

static void readable(struct conn *c) {
    ssize_t n = recv(c->fd, buffer, READ_SIZE, 0);
    if (n < 0) return;
    if (n == 0) { close(c->fd); return; }
    append(&c->in, &c->in_size, &c->in_room, buffer, (size_t)n);
    char *p = c->in, *end = c->in + c->in_size, *lf;
    while ((lf = memchr(p, '\n', (size_t)(end - p)))) {
        line(c, p, (size_t)(lf + 1 - p));
        p = lf + 1;
    }
    memmove(c->in, p, (size_t)(end - p));
    c->in_size = (size_t)(end - p);
    for (int i = 0; i < dirty_count; i++) flush(dirty[i]);
    dirty_count = 0;
}

int main(int argc, char **argv) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, epoll = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 6000))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) { perror("floor"); return 1; }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[512];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int n = epoll_wait(epoll, events, 512, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) { readable(events[i].data.ptr); continue; }
            int fd;
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                struct conn *c = calloc(1, sizeof *c);
                c->fd = fd;
                event = (struct epoll_event){.events = EPOLLIN, .data.ptr = c};
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}
