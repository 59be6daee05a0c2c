/* Finds deliveries that are over among those that are remembered: by their whole key, and the
 * latest one of a source in a session. Made when it is needed (deliveries.h), and thrown away when
 * it is not any more. */
#pragma once

#include "gateway/deliveries.h"

/* NULL: no memory. Knows all that are in the ring. */
struct delivery_index *delivery_index_new(const struct deliveries *all);
void delivery_index_free(struct delivery_index *index);

/* Takes in what has come into the ring since. False: it is full, and must be made anew. */
MUST_CHECK bool delivery_index_update(struct delivery_index *index, const struct deliveries *all);

/* NULL: none. Call after an update. */
const struct remembered_delivery *delivery_index_find(const struct delivery_index *index,
                                                      const struct deliveries *all,
                                                      const struct delivery_key *key);
/* The latest one of the key's source in the key's session. */
const struct remembered_delivery *delivery_index_find_latest(const struct delivery_index *index,
                                                             const struct deliveries *all,
                                                             const struct delivery_key *key);

/* True: nobody has asked since the last call. */
bool delivery_index_is_idle(struct delivery_index *index);

static inline const struct remembered_delivery *deliveries_at(const struct deliveries *all,
                                                              uint64_t position)
{
    return &all->ring[position & (all->ring_cap - 1)];
}
