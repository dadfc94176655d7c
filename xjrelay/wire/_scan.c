/* SPDX-License-Identifier: MIT
 *
 * The compiled form of wire.fast: ordinary messages cut out of a read without decoding them.
 *
 * It takes exactly what the pure form takes, in the letters that it is sure of (ASCII, and of the escapes
 * those of one letter), and stops at the first line with anything else: the pure form goes on from there.
 * A line is an object of the known keys, each once, in any order, without white space; texts end at the
 * first quote. So nothing can stand in it that another parser reads otherwise. The same vectors are
 * run through both forms.
 *
 * No line is read beyond the bytes object: where it ends, its NUL is a control character, which stops.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { STANZA = 1, TO = 2, FROM = 4, BODY = 8, ID = 16, H = 32 };
#define MESSAGE_KEYS (STANZA | TO | FROM | BODY)

struct text { const char *at; Py_ssize_t size; };
struct line { int keys, is_ack; struct text to, from, id; long long h; };
struct row { struct text to, from; Py_ssize_t start, count; PyObject *ids; };

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && defined(__GNUC__)
#define EACH(byte) (~UINT64_C(0) / 255 * (byte))
/* The top bit of each byte that is below 32, a quote, a backslash, or no ASCII: exact for the first of them. */
static inline uint64_t special(uint64_t x) {
    uint64_t quote = x ^ EACH('"'), slash = x ^ EACH('\\');
    return (((x - EACH(32)) | (quote - EACH(1)) | (slash - EACH(1))) & ~x & EACH(128)) | (x & EACH(128));
}
#endif

/* The first byte that doesn't stand for itself in a text. */
static const char *skip(const char *p, const char *end) {
#ifdef EACH
    for (; end - p >= 8; p += 8) {
        uint64_t x, found;
        memcpy(&x, p, 8);
        if ((found = special(x))) return p + __builtin_ctzll(found) / 8;
    }
#endif
    while (p < end && (unsigned char)*p >= 32 && (unsigned char)*p < 128 && *p != '"' && *p != '\\') p++;
    return p;
}

/* A text without escapes, of so many letters; what follows its quote, or NULL. */
static const char *plain(const char *p, const char *end, struct text *text, Py_ssize_t least, Py_ssize_t most) {
    if (*p != '"') return NULL;
    text->at = ++p;
    p = skip(p, end);
    text->size = p - text->at;
    return *p == '"' && text->size >= least && text->size <= most ? p + 1 : NULL;
}

/* Any text; what follows its quote, or NULL. */
static const char *body(const char *p, const char *end) {
    if (*p++ != '"') return NULL;
    for (;;) {
        p = skip(p, end);
        if (*p == '"') return p + 1;
        if (*p != '\\' || p[1] == 0 || !strchr("\"\\nrtbf", p[1])) return NULL;
        p += 2;
    }
}

/* A whole number, as it is written shortest; what follows it, or NULL. */
static const char *number(const char *p, long long *value) {
    const char *start = p;
    for (*value = 0; *p >= '0' && *p <= '9' && p - start < 16; p++) *value = *value * 10 + (*p - '0');
    return p == start || (*start == '0' && p - start > 1) || *value >= (1LL << 53) ? NULL : p;
}

static int key(const char **p, const char *end) {
    static const struct { const char *name; Py_ssize_t size; int key; } keys[] = {
        {"\"to\":", 5, TO}, {"\"from\":", 7, FROM}, {"\"id\":", 5, ID}, {"\"body\":", 7, BODY},
        {"\"stanza\":", 9, STANZA}, {"\"h\":", 4, H}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (end - *p >= keys[i].size && memcmp(*p, keys[i].name, (size_t)keys[i].size) == 0) {
            *p += keys[i].size;
            return keys[i].key;
        }
    return 0;
}

static const char *stanza(const char *p, const char *end, struct line *line) {
    struct text text;
    if (!(p = plain(p, end, &text, 3, 7))) return NULL;
    line->is_ack = text.size == 3 && memcmp(text.at, "ack", 3) == 0;
    return line->is_ack || (text.size == 7 && memcmp(text.at, "message", 7) == 0) ? p : NULL;
}

/* One line; what follows it, or NULL where it isn't plain. */
static const char *scan(const char *p, const char *end, struct line *line, Py_ssize_t most_address, Py_ssize_t most_id) {
    line->keys = line->is_ack = 0;
    if (*p != '{') return NULL;
    do {
        int one;
        p++;
        if (!(one = key(&p, end)) || line->keys & one) return NULL;
        line->keys |= one;
        switch (one) {
        case TO: p = plain(p, end, &line->to, 1, most_address); break;
        case FROM: p = plain(p, end, &line->from, 1, most_address); break;
        case ID: p = plain(p, end, &line->id, 0, most_id); break;
        case BODY: p = body(p, end); break;
        case STANZA: p = stanza(p, end, line); break;
        default: p = number(p, &line->h);
        }
    } while (p && *p == ',');
    if (!p || p[0] != '}' || p[1] != '\n') return NULL;
    if (line->is_ack ? line->keys != (STANZA | H) : (line->keys & ~ID) != MESSAGE_KEYS) return NULL;
    return p + 2;
}

static int same(struct text one, struct text other) {
    return one.size == other.size && memcmp(one.at, other.at, (size_t)one.size) == 0;
}

/* Messages in a row are whole: Run(to, from_, count, ids, lines). Takes the list of ids. */
static int finish(PyObject *found, PyObject *lines, PyObject *run, struct row *row, Py_ssize_t end) {
    int failed = -1;
    PyObject *made = NULL, *part = NULL, *to, *from, *count;
    if (!row->count) return 0;
    to = PyUnicode_FromStringAndSize(row->to.at, row->to.size);
    from = PyUnicode_FromStringAndSize(row->from.at, row->from.size);
    count = PyLong_FromSsize_t(row->count);
    if (row->start == 0 && end == PyBytes_GET_SIZE(lines)) part = Py_NewRef(lines);
    else part = PyBytes_FromStringAndSize(PyBytes_AS_STRING(lines) + row->start, end - row->start);
    if (to && from && count && part)
        made = PyObject_CallFunctionObjArgs(run, to, from, count, row->ids, part, NULL);
    if (made) failed = PyList_Append(found, made);
    Py_XDECREF(to); Py_XDECREF(from); Py_XDECREF(count); Py_XDECREF(part); Py_XDECREF(made);
    Py_CLEAR(row->ids);
    row->count = 0;
    return failed;
}

static int append(PyObject *list, PyObject *item) {
    int failed = item ? PyList_Append(list, item) : -1;
    Py_XDECREF(item);
    return failed;
}

/* runs(lines, Run, PlainAck, most_address, most_id) -> what the first lines say, and their bytes */
static PyObject *runs(PyObject *module, PyObject *args) {
    PyObject *lines, *run, *ack, *found;
    Py_ssize_t most_address, most_id;
    (void)module;
    if (!PyArg_ParseTuple(args, "SOOnn", &lines, &run, &ack, &most_address, &most_id)) return NULL;
    const char *start = PyBytes_AS_STRING(lines), *end = start + PyBytes_GET_SIZE(lines), *p = start, *next;
    struct row row = {.count = 0, .ids = NULL};
    struct line line = {0};
    if (!(found = PyList_New(0))) return NULL;
    for (; p < end && (next = scan(p, end, &line, most_address, most_id)); p = next) {
        int named = (line.keys & ID) != 0;
        if (line.is_ack) {
            if (finish(found, lines, run, &row, p - start) < 0) goto failed;
            PyObject *h = PyLong_FromLongLong(line.h);
            PyObject *made = h ? PyObject_CallFunctionObjArgs(ack, h, NULL) : NULL;
            Py_XDECREF(h);
            if (append(found, made) < 0) goto failed;
            continue;
        }
        if (!row.count || !same(line.to, row.to) || !same(line.from, row.from) ||
            named != (PyList_GET_SIZE(row.ids) > 0)) {
            if (finish(found, lines, run, &row, p - start) < 0) goto failed;
            if (!(row.ids = PyList_New(0))) goto failed;
            row.to = line.to;
            row.from = line.from;
            row.start = p - start;
        }
        if (named && append(row.ids, PyUnicode_FromStringAndSize(line.id.at, line.id.size)) < 0) goto failed;
        row.count++;
    }
    if (finish(found, lines, run, &row, p - start) < 0) goto failed;
    return Py_BuildValue("(Nn)", found, p - start);
failed:
    Py_XDECREF(row.ids);
    Py_DECREF(found);
    return NULL;
}

static PyMethodDef methods[] = {
    {"runs", runs, METH_VARARGS, "What the first lines say, and how many bytes those are."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {
    .m_base = PyModuleDef_HEAD_INIT, .m_name = "xjrelay.wire._scan", .m_size = 0, .m_methods = methods};

PyMODINIT_FUNC PyInit__scan(void) { return PyModuleDef_Init(&module); }
