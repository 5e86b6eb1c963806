/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A doubly linked list through a member of its elements. An element that is in no list has next == NULL (zeroed memory
 * will do), so it can be asked, and removed twice.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/memory.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline bool list_linked(const struct list *element)
{
    return element->next != NULL;
}

/* Before `at`; with the head: at the end. */
static inline void list_insert_before(struct list *at, struct list *element)
{
    element->next = at;
    element->prev = at->prev;
    at->prev->next = element;
    at->prev = element;
}

static inline void list_append(struct list *head, struct list *element)
{
    list_insert_before(head, element);
}

static inline void list_prepend(struct list *head, struct list *element)
{
    list_insert_before(head->next, element);
}

static inline void list_remove(struct list *element)
{
    if (!list_linked(element))
        return;
    element->prev->next = element->next;
    element->next->prev = element->prev;
    element->next = element->prev = NULL;
}

/* Moves all of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* Removes the first element; NULL: the list is empty. */
static inline struct list *list_take_first(struct list *head)
{
    struct list *first = head->next;
    if (first == head)
        return NULL;
    head->next = first->next;
    head->next->prev = head;
    first->next = first->prev = NULL;
    return first;
}

#define LIST_FIRST(head, type, member) (list_empty(head) ? NULL : CONTAINER_OF((head)->next, type, member))

/* while ((waiter = LIST_TAKE_FIRST(&waiters, struct waiter, link))) ... */
#define LIST_TAKE_FIRST(head, type, member)                                                                            \
    __extension__({                                                                                                    \
        struct list *taken_ = list_take_first(head);                                                                   \
        taken_ ? CONTAINER_OF(taken_, type, member) : NULL;                                                            \
    })

/* for (struct waiter *w = ...) over a list; the current element may be removed in the body, no other may. One loop, so
 * that break leaves it. */
#define list_each(type, name, head, member)                                                                            \
    for (type *name = CONTAINER_OF((head)->next, type, member),                                                        \
              *name##_next = CONTAINER_OF(name->member.next, type, member);                                            \
         &name->member != (head);                                                                                      \
         name = name##_next, name##_next = CONTAINER_OF(name##_next->member.next, type, member))

#endif
