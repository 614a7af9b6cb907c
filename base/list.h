// Intrusive doubly linked list. The link lies in the struct it links; nothing is allocated.
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *prev, *next;
};

static inline void list_init(struct link *head) {
    head->prev = head->next = head;
}
static inline bool list_empty(const struct link *head) {
    return head->next == head;
}
static inline void list_insert_before(struct link *at, struct link *it) {
    it->prev = at->prev;
    it->next = at;
    at->prev->next = it;
    at->prev = it;
}
static inline void list_append(struct link *head, struct link *it) {
    list_insert_before(head, it);
}
// Leaves the list; safe on a link that was list_init-ed and is in none.
static inline void list_remove(struct link *it) {
    it->prev->next = it->next;
    it->next->prev = it->prev;
    it->prev = it->next = it;
}

#define list_entry(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))
#define list_first(head, type, member) list_entry((head)->next, type, member)
// The entry in hand may be removed while walking; after the last one it is NULL.
#define list_each(it, head, type, member)                                                          \
    for (struct link *it##_at = (head)->next, *it##_next = it##_at->next;                          \
         (it) = it##_at == (head) ? NULL : list_entry(it##_at, type, member), (it) != NULL;        \
         it##_at = it##_next, it##_next = it##_next->next)
