/* What every parser of ours answers. A parser takes a slice, never reads beyond it, keeps no
 * pointer to it, and gives slices into it. */
#pragma once

enum parse_result {
    PARSE_DONE,      /* one whole unit was read */
    PARSE_NEED_MORE, /* the input ends inside a unit that may still become valid */
    PARSE_BAD,       /* no continuation can make this valid */
};
