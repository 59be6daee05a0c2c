/* Takes members out of a JSON object's text and leaves all other bytes as they are: which pieces of
 * the text those members are, so that what is left without them is an object again. */
#pragma once

#include "gateway/json_scan.h"

/* `members`, in any order (they are sorted), are some of those that json_scan has found in `text`,
 * each once; at least one that it has found is not among them. Fills in the pieces, in the order of
 * the text, each with the comma that goes with it, and gives their count: at most `count`, since
 * neighbours are one piece. */
size_t json_cut(struct slice text, const struct json_member **members, size_t count,
                struct slice *pieces);
