/* Reads a binary request (its form: binary_form.py) in one go: checks the body and writes its records into
 * the model's memory. Whatever is not ordinary gets 0, and the careful way in Python says what it is.
 *
 * The body comes from anyone. Nothing is read outside of it, nothing written outside of the plan's memory, and
 * nothing is allocated. No library is needed, the C library included. C99; the structures are mirrored in
 * kernel.py.
 */
#include <stddef.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "a request is little-endian, and read as it stands"
#endif

enum { PADDING = '=', NO_DIGIT = 0x80, HASH_START = 0x811c9dc5, HASH_FACTOR = 0x01000193 };

/* A number feature: ordinary between low and high; column of the model's row, -1 where it is not read. */
struct number {
    float low, high;
    int32_t column;
    uint32_t required;
};

/* A category feature: its texts are words[first] and so on, and found by table[slots] and so on, whose size is
 * a power of two and more than the texts. */
struct category {
    int32_t column;
    uint32_t required, first, count, table, size;
};

/* A text of a vocabulary, bytes of texts in UTF-8, and what stands for it in the model's row. */
struct word {
    uint32_t start, length;
    float slot;
};

struct plan {
    uint64_t bytes; /* of this structure: whether both languages mean the same one */
    uint64_t most_bytes, most_records, numbers_count, categories_count, width;
    const struct number *numbers;
    const struct category *categories;
    const struct word *words;
    const uint8_t *texts;
    uint32_t *table;  /* place of a word, from 1; 0: none */
    uint8_t *scratch; /* most_bytes */
    float *slots;     /* most_records */
    float *rows;      /* most_records × width */
    uint8_t digits[256];
};

struct span {
    const uint8_t *at, *end;
};

static uint16_t two_bytes(const uint8_t *at) {
    uint16_t value;
    __builtin_memcpy(&value, at, sizeof value);
    return value;
}

static uint32_t four_bytes(const uint8_t *at) {
    uint32_t value;
    __builtin_memcpy(&value, at, sizeof value);
    return value;
}

static float number_at(const uint8_t *at) {
    float value;
    __builtin_memcpy(&value, at, sizeof value);
    return value;
}

/* FNV-1a. Who chooses the texts of a request does not choose those in the table. */
static uint32_t hash_of(struct span text) {
    uint32_t hash = HASH_START;
    for (; text.at != text.end; text.at++) hash = (hash ^ *text.at) * HASH_FACTOR;
    return hash;
}

static int same(const uint8_t *one, const uint8_t *other, size_t length) {
    while (length && *one == *other) one++, other++, length--;
    return !length;
}

/* Where the place of this text is in the category's table, or would be. */
static uint32_t *seat_of(const struct plan *plan, const struct category *category, struct span text) {
    uint32_t *table = plan->table + category->table, mask = category->size - 1;
    size_t length = (size_t)(text.end - text.at);
    uint32_t seat = hash_of(text) & mask;
    for (; table[seat]; seat = (seat + 1) & mask) {
        const struct word *word = &plan->words[table[seat] - 1];
        if (word->length == length && same(plan->texts + word->start, text.at, length)) break;
    }
    return &table[seat];
}

/* Fill the plan's tables. 0: the plan is another version's. */
int32_t millrace_prepare(struct plan *plan) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (plan->bytes != sizeof *plan) return 0;
    for (size_t i = 0; i < sizeof plan->digits; i++) plan->digits[i] = NO_DIGIT;
    for (uint8_t i = 0; i < 64; i++) plan->digits[(uint8_t)digits[i]] = i;
    for (size_t k = 0; k < plan->categories_count; k++) {
        const struct category *category = &plan->categories[k];
        for (uint32_t place = category->first; place < category->first + category->count; place++) {
            const uint8_t *text = plan->texts + plan->words[place].start;
            struct span span = {text, text + plan->words[place].length};
            *seat_of(plan, category, span) = place + 1; /* of a text that stands twice the last counts */
        }
    }
    return 1;
}

/* Decode base64 into the scratch memory: strictly, with padding. Returns an empty span for anything else. */
static struct span decoded(const struct plan *plan, struct span text) {
    struct span nothing = {0, 0};
    size_t length = (size_t)(text.end - text.at);
    if (!length || length % 4) return nothing;
    size_t padding = text.end[-1] != PADDING ? 0 : text.end[-2] != PADDING ? 1 : 2;
    if (length / 4 * 3 - padding > plan->most_bytes) return nothing;
    const uint8_t *digits = plan->digits, *at = text.at;
    const uint8_t *whole = text.end - (padding ? 4 : 0);
    uint8_t *out = plan->scratch;
    uint32_t wrong = 0;
    for (; at != whole; at += 4, out += 3) {
        uint32_t a = digits[at[0]], b = digits[at[1]], c = digits[at[2]], d = digits[at[3]];
        uint32_t group = a << 18 | b << 12 | c << 6 | d;
        wrong |= a | b | c | d;
        out[0] = (uint8_t)(group >> 16), out[1] = (uint8_t)(group >> 8), out[2] = (uint8_t)group;
    }
    if (padding) {
        uint32_t a = digits[at[0]], b = digits[at[1]], c = padding == 1 ? digits[at[2]] : 0;
        uint32_t group = a << 18 | b << 12 | c << 6;
        wrong |= a | b | c;
        if (group & (padding == 1 ? 0xff : 0xffff)) return nothing; /* bits that belong to no byte */
        *out++ = (uint8_t)(group >> 16);
        if (padding == 1) *out++ = (uint8_t)(group >> 8);
    }
    if (wrong & NO_DIGIT) return nothing;
    return (struct span){plan->scratch, out};
}

/* Write the numbers of count records, each within its bounds or, where that may be, missing. */
static int write_numbers(const struct plan *plan, const uint8_t *at, size_t count) {
    float *row = plan->rows;
    for (size_t i = 0; i < count; i++, row += plan->width) {
        for (size_t k = 0; k < plan->numbers_count; k++, at += 4) {
            const struct number *number = &plan->numbers[k];
            float value = number_at(at);
            if (!(value >= number->low && value <= number->high)) {
                if (value == value || number->required) return 0;
                value = __builtin_nanf(""); /* one of many: what is missing always looks the same */
            }
            if (number->column >= 0) row[number->column] = value;
        }
    }
    return 1;
}

/* Whether text is UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
static int is_utf8(struct span text) {
    const uint8_t *at = text.at;
    while (at != text.end) {
        uint8_t lead = *at++;
        if (lead < 0x80) continue;
        int more = lead >= 0xc2 && lead < 0xe0 ? 1 : (lead & 0xf0) == 0xe0 ? 2 : lead >= 0xf0 && lead < 0xf5 ? 3 : 0;
        if (!more || text.end - at < more) return 0;
        uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        if (*at < low || *at > high) return 0;
        for (at++; --more; at++)
            if ((*at & 0xc0) != 0x80) return 0;
    }
    return 1;
}

/* Find what stands for one text in the model's row. */
static int find_slot(const struct plan *plan, const struct category *category, struct span text, float *slot) {
    *slot = 0;
    if (text.at == text.end) return !category->required;
    if (category->column < 0) return is_utf8(text);
    uint32_t place = *seat_of(plan, category, text);
    if (!place) return 0;
    *slot = plan->words[place - 1].slot;
    return 1;
}

/* Write one category of count records: codes into its many texts, which begin at *rest. With last, nothing may
 * follow them; else a zero byte does, and *rest is moved beyond it. */
static int write_category(const struct plan *plan, size_t k, const uint8_t *codes, size_t count, size_t many,
                          struct span *rest, int last) {
    const struct category *category = &plan->categories[k];
    if (many > plan->most_records) return 0;
    for (size_t i = 0; i < many; i++) {
        struct span text = {rest->at, rest->at};
        while (text.end != rest->end && *text.end) text.end++;
        int ends = text.end == rest->end;
        if (ends != (last && i + 1 == many) || !find_slot(plan, category, text, &plan->slots[i])) return 0;
        rest->at = ends ? text.end : text.end + 1;
    }
    float *row = plan->rows + (category->column < 0 ? 0 : category->column);
    for (size_t i = 0; i < count; i++, row += plan->width) {
        uint16_t code = two_bytes(codes + 2 * i);
        if (code >= many) return 0;
        if (category->column >= 0) *row = plan->slots[code];
    }
    return 1;
}

/* Write the rows of a body's records. Returns how many, or 0. */
static int64_t read_body(const struct plan *plan, struct span body) {
    size_t size = (size_t)(body.end - body.at), a = plan->numbers_count, b = plan->categories_count;
    size_t head = 8 + 2 * b;
    if (size > plan->most_bytes || size < head || !same(body.at, (const uint8_t *)"MRB1", 4)) return 0;
    size_t count = four_bytes(body.at + 4);
    if (!count || count > plan->most_records) return 0;
    /* No overflow: count has 32 bits, and a manifest lists far fewer features than as many. */
    size_t codes = head + 4 * count * a, texts = codes + 2 * count * b;
    if (size < texts || !write_numbers(plan, body.at + head, count)) return 0;
    struct span rest = {body.at + texts, body.end};
    for (size_t k = 0; k < b; k++) {
        size_t many = two_bytes(body.at + 8 + 2 * k);
        if (!write_category(plan, k, body.at + codes + 2 * count * k, count, many, &rest, k + 1 == b)) return 0;
    }
    return rest.at == rest.end ? (int64_t)count : 0;
}

/* Read a body of length bytes, in base64 or as it is. Returns the number of its records, whose rows are then in
 * the model's memory; 0 where anything about it is out of the ordinary. */
int64_t millrace_read(const struct plan *plan, const uint8_t *body, size_t length, int32_t in_base64) {
    struct span text = {body, body + length};
    if (in_base64) text = decoded(plan, text);
    return text.at == text.end ? 0 : read_body(plan, text);
}
