#include "base/check.h"
#include "base/own.h"
#include "sidecar/spec/shape.h"
#include <string.h>
#include <strings.h>

// `ports:`, in Ochothon's syntax: "2181", "2181 *", "8080 9000", each maybe with " tcp" or " udp".

static const char why_not[] = "is not a port like 2181, \"2181 *\" (the same on the host) or "
                              "\"8080 9000\" (9000 on the host), each maybe with \" udp\"";

static int number_of(const char *word, int *ret) {
    int64_t n;
    if (text_int(word, 1, 65535, &n, NULL))
        return -1;
    *ret = (int)n;
    return 0;
}

static int from_words(char *const *words, size_t n, struct spec_port *ret) {
    *ret = (struct spec_port){0};
    bool udp = n && strcasecmp(words[n - 1], "udp") == 0;
    if (udp || (n && strcasecmp(words[n - 1], "tcp") == 0))
        n--;
    ret->udp = udp;
    if (n < 1 || n > 2 || number_of(words[0], &ret->port))
        return -1;
    if (n == 2 && strcmp(words[1], "*") == 0)
        ret->host = ret->port;
    else if (n == 2)
        return number_of(words[1], &ret->host);
    return 0;
}

const char *spec_port_parse(const char *s, struct spec_port *ret) {
    char **words = text_split(s, " \t");
    int failed = from_words(words, text_list_len(words), ret);
    text_list_free(words);
    return failed ? why_not : NULL;
}

static void add_port(struct reader *r, const struct entry *at, struct spec *spec) {
    struct spec_port port;
    const char *text = node_scalar(at->value) ? at->value->text : NULL;
    const char *wrong = text ? spec_port_parse(text, &port) : why_not;
    if (wrong) {
        reader_complain(r, at, "\"%.80s\" %s", text ? text : node_kind_name(at->value), wrong);
        return;
    }
    for (size_t i = 0; i < spec->ports_len; i++) {
        const struct spec_port *other = &spec->ports[i];
        if (other->udp == port.udp && other->port == port.port)
            reader_complain(r, at, "%d stands here twice", port.port);
        else if (other->udp == port.udp && port.host && other->host == port.host)
            reader_complain(r, at, "%d of the host is taken by another", port.host);
    }
    spec->ports[spec->ports_len++] = port;
}

void shape_ports(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    (void)key;
    struct spec *spec = base;
    const struct node *node = at->value;
    if (node->kind != NODE_LIST) {
        reader_complain(r, at, "must be a list of ports, like [2181, 2888], not %s",
                        node_kind_name(node));
        return;
    }
    spec->ports = xcalloc(node->len + 1, sizeof *spec->ports);
    for (size_t i = 0; i < node->len; i++) {
        size_t before = reader_enter(r, NULL, i);
        add_port(r, &node->entries[i], spec);
        reader_leave(r, before);
    }
}

void shape_verbatim(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    (void)key;
    (void)base;
    if (at->value->kind != NODE_MAP)
        reader_complain(r, at, "must be a map, a part of a Marathon app, not %s",
                        node_kind_name(at->value));
}
