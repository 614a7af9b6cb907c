// The table of keys: for each its name, type, place in struct spec, default, bounds and one line of
// documentation. Reading, defaults, complaints, docs/SPEC.md and docs/pod.schema.json all come from
// it (a unit test holds the two documents against it), so a key is described in one place. Keys of
// a map that stands once lie in struct spec; those of a list's elements in the element.
#pragma once
#include "sidecar/spec/node.h"
#include "sidecar/spec/spec.h"

enum key_type {
    KEY_STRING,   // char *
    KEY_FLAG,     // bool
    KEY_INT,      // int
    KEY_COUNT,    // int64_t
    KEY_DURATION, // int64_t, milliseconds
    KEY_BYTES,    // int64_t
    KEY_CPUS,     // int64_t, billionths
    KEY_CHOICE,   // enum, in the order of `choices`
    KEY_STRINGS,  // char **
    KEY_ARGV,     // char **, at least one
    KEY_MAP,      // keys of its own: `map`
    KEY_OWN,      // `read` knows; `schema` says what
};

struct reader;
struct key;
typedef void key_read_fn(struct reader *r, const struct key *key, const struct entry *at,
                         void *base);

struct key_map {
    const char *what; // "a file", for messages; NULL-named key ends the list
    const struct key *keys;
    // After the keys: what must hold among them. at is the map itself.
    void (*after)(struct reader *r, const struct entry *at, void *base);
};

struct key {
    const char *name;
    enum key_type type;
    size_t place;
    const char *fallback; // as it would be written; NULL: nothing
    int64_t min, max;     // KEY_INT, KEY_COUNT, KEY_DURATION, KEY_BYTES
    const char *choices;  // "coupled independent"
    const struct key_map *map;
    key_read_fn *read;
    const char *(*wrong)(const char *s); // what is wrong with a string, or NULL
    const char *schema;                  // JSON schema of KEY_OWN
    bool required;
    const char *doc;
};

extern const struct key_map spec_keys;

// What reading needs on its way down.
struct reader {
    struct report *report;
    struct text path; // "files[0].mode", of what is read now
    const char *name; // of the text
    const char *folder;
};

// key is the last part of the place, "" for the place itself.
void reader_complain(struct reader *r, const struct entry *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// The path grows by ".name" (or "[3]" for NULL) and shrinks back to what it was.
size_t reader_enter(struct reader *r, const char *name, size_t index);
void reader_leave(struct reader *r, size_t before);

void read_map(struct reader *r, const struct key_map *map, const struct entry *at, void *base);
void read_defaults(const struct key_map *map, void *base);
// One scalar from text: file, environment, flags and defaults alike. err says what and what to do.
int read_scalar(const struct key *key, const char *text, void *at, struct err *err) must_check;
char **read_strings(struct reader *r, const struct entry *at); // NULL: complained
char **read_argv(struct reader *r, const struct entry *at);

// ---- strings with a grammar (words.c): what is wrong, or NULL ----
const char *wrong_cluster(const char *s);
const char *wrong_namespace(const char *s);
const char *wrong_ip(const char *s);
const char *wrong_path(const char *s); // absolute and clean
const char *wrong_image(const char *s);
const char *wrong_zk(const char *s);
const char *wrong_signal(const char *s);
const char *wrong_dependency(const char *s);
const char *wrong_variable(const char *s); // name of an environment variable
const char *wrong_word(const char *s);     // of a tool, a binding, a network, a container
const char *wrong_host(const char *s);
const char *wrong_published(const char *s);                         // "8080:80/tcp"
const char *wrong_nothing(const char *s);                           // only not empty, and one line
const char *did_you_mean(const struct key *keys, const char *name); // NULL: no idea
