/* Reads a request in one go, in binary (its form: binary_form.py) or in JSON (json_form.py): checks the body and
 * writes its records into the model's memory. Whatever is not ordinary gets 0, and Python says what it is.
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
enum { NO_FEATURE = -1, NO_POINT = -1, EXACT_POWER = 22, MOST_POWER = 64, MOST_PLACES = 999 };
#define EXACT_DIGITS (UINT64_C(1) << 53)
#define FULL UINT64_C(1000000000000000000) /* no room for one more digit */

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
    uint64_t most_bytes, most_records, numbers_count, categories_count, features_count, width;
    uint64_t stamp; /* of the record that was begun last */
    const struct number *numbers;
    const struct category *categories;
    const struct word *words;
    const uint8_t *texts;
    uint32_t *table;  /* place of a word, from 1; 0: none */
    uint8_t *scratch; /* most_bytes */
    float *slots;     /* most_records */
    float *rows;      /* most_records × width */
    /* The features in the manifest's order: from 0 the place of a number, from -1 down that of a category. */
    const int32_t *features;
    struct category names; /* theirs, as the vocabulary of a category that is not among the categories */
    int32_t *order;        /* features_count: which of them stood at this place of the last record */
    uint64_t *seen;        /* features_count: the stamp of the last record that had it */
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

static uint64_t eight_bytes(const uint8_t *at) {
    uint64_t value;
    __builtin_memcpy(&value, at, sizeof value);
    return value;
}

static int same(const uint8_t *one, const uint8_t *other, size_t length) {
    for (; length >= 8; one += 8, other += 8, length -= 8)
        if (eight_bytes(one) != eight_bytes(other)) return 0;
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

static void fill_table(const struct plan *plan, const struct category *category) {
    for (uint32_t place = category->first; place < category->first + category->count; place++) {
        const uint8_t *text = plan->texts + plan->words[place].start;
        struct span span = {text, text + plan->words[place].length};
        *seat_of(plan, category, span) = place + 1; /* of a text that stands twice the last counts */
    }
}

/* Fill the plan's tables. 0: the plan is another version's. */
int32_t millrace_prepare(struct plan *plan) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (plan->bytes != sizeof *plan) return 0;
    for (size_t i = 0; i < sizeof plan->digits; i++) plan->digits[i] = NO_DIGIT;
    for (uint8_t i = 0; i < 64; i++) plan->digits[(uint8_t)digits[i]] = i;
    for (size_t k = 0; k < plan->categories_count; k++) fill_table(plan, &plan->categories[k]);
    fill_table(plan, &plan->names);
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

/* ---- JSON --------------------------------------------------------------------------------------------------- */

static void skip_blanks(struct span *rest) {
    while (rest->at != rest->end && (*rest->at == ' ' || *rest->at == '\n' || *rest->at == '\r' || *rest->at == '\t'))
        rest->at++;
}

/* Take this sign, and the blanks before it, if it comes next. */
static int take(struct span *rest, uint8_t sign) {
    skip_blanks(rest);
    if (rest->at == rest->end || *rest->at != sign) return 0;
    rest->at++;
    return 1;
}

static int take_null(struct span *rest) {
    if (rest->end - rest->at < 4 || !same(rest->at, (const uint8_t *)"null", 4)) return 0;
    rest->at += 4;
    return 1;
}

/* Take four hexadecimal digits: a unit of UTF-16. NO_POINT for anything else. */
static int32_t take_unit(struct span *rest) {
    int32_t unit = 0;
    if (rest->end - rest->at < 4) return NO_POINT;
    for (const uint8_t *end = rest->at + 4; rest->at != end; rest->at++) {
        uint8_t digit = (uint8_t)(*rest->at - '0'), letter = (uint8_t)((*rest->at | 0x20) - 'a');
        if (digit > 9 && letter > 5) return NO_POINT;
        unit = unit << 4 | (digit > 9 ? letter + 10 : digit);
    }
    return unit;
}

/* Take the character that stands behind \u, in two halves if need be. NO_POINT for half of one. */
static int32_t take_point(struct span *rest) {
    int32_t high = take_unit(rest);
    if (high < 0xd800 || high > 0xdfff) return high;
    if (high > 0xdbff || rest->end - rest->at < 2 || rest->at[0] != '\\' || rest->at[1] != 'u') return NO_POINT;
    rest->at += 2;
    int32_t low = take_unit(rest);
    if (low < 0xdc00 || low > 0xdfff) return NO_POINT;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

/* Take the character that stands behind a backslash. NO_POINT where none does. */
static int32_t take_escape(struct span *rest) {
    static const char signs[8] = {'"', '\\', '/', 'b', 'f', 'n', 'r', 't'};
    static const char meant[8] = {'"', '\\', '/', '\b', '\f', '\n', '\r', '\t'};
    if (rest->at == rest->end) return NO_POINT;
    uint8_t sign = *rest->at++;
    if (sign == 'u') return take_point(rest);
    for (size_t i = 0; i < sizeof signs; i++)
        if (sign == signs[i]) return meant[i];
    return NO_POINT;
}

/* Write a character in UTF-8, four bytes at most. Returns where it ends. */
static uint8_t *write_point(uint8_t *out, int32_t point) {
    int more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    static const uint8_t leads[] = {0, 0xc0, 0xe0, 0xf0};
    *out++ = (uint8_t)(leads[more] | point >> 6 * more);
    while (more--) *out++ = (uint8_t)(0x80 | (point >> 6 * more & 0x3f));
    return out;
}

/* Take a text as take_text does, and write what its escapes stand for, into the scratch memory. */
static struct span take_escaped(const struct plan *plan, struct span *rest) {
    struct span text = *rest;
    uint8_t *out = plan->scratch, *end = out + plan->most_bytes;
    while (text.at != text.end && *text.at != '"') {
        if (end - out < 4 || *text.at < ' ') return (struct span){0, 0};
        int escapes = *text.at == '\\';
        int32_t point = *text.at++;
        if (escapes && (point = take_escape(&text)) == NO_POINT) return (struct span){0, 0};
        if (escapes) out = write_point(out, point);
        else *out++ = (uint8_t)point; /* of a character, perhaps, that has several */
    }
    if (text.at == text.end) return (struct span){0, 0};
    rest->at = text.at + 1;
    return (struct span){plan->scratch, out};
}

/* Take what is left of a text whose opening quote was taken. No span (at is 0) where it is none. Valid until the next
 * is taken. Whether it is UTF-8 is left to whoever does not find it in a table: no escape mends what is not. */
static struct span take_text(const struct plan *plan, struct span *rest) {
    const uint8_t *at = rest->at, *start = at;
    while (at != rest->end && *at != '"' && *at != '\\' && *at >= ' ') at++;
    if (at == rest->end || *at != '"') return take_escaped(plan, rest);
    rest->at = at + 1;
    return (struct span){start, at};
}

/* Take digits behind those in *value. Returns how many; 0 where there are none or no room for them. */
static size_t take_digits(struct span *rest, uint64_t *value) {
    const uint8_t *at = rest->at, *end = rest->end;
    uint64_t sum = *value;
    for (; at != end && (uint8_t)(*at - '0') < 10; at++) {
        if (sum >= FULL) return 0;
        sum = sum * 10 + (uint64_t)(*at - '0');
    }
    size_t many = (size_t)(at - rest->at);
    *value = sum, rest->at = at;
    return many;
}

/* Take an exponent, if one comes next, and add it to *power. */
static int take_exponent(struct span *rest, int32_t *power) {
    if (rest->at == rest->end || (*rest->at | 0x20) != 'e') return 1;
    rest->at++;
    int below = rest->at != rest->end && *rest->at == '-';
    if (below || (rest->at != rest->end && *rest->at == '+')) rest->at++;
    uint64_t exponent = 0;
    size_t many = take_digits(rest, &exponent);
    if (!many || many > 3) return 0;
    *power += below ? -(int32_t)exponent : (int32_t)exponent;
    return 1;
}

/* A decimal number: digits × 10^power. */
struct decimal {
    uint64_t digits;
    int32_t power, below;
};

static int take_decimal(struct span *rest, struct decimal *found) {
    *found = (struct decimal){0, 0, 0};
    found->below = rest->at != rest->end && *rest->at == '-';
    rest->at += found->below;
    const uint8_t *first = rest->at;
    size_t whole = take_digits(rest, &found->digits), places = 0;
    if (!whole || (whole > 1 && *first == '0')) return 0;
    if (rest->at != rest->end && *rest->at == '.') {
        rest->at++;
        places = take_digits(rest, &found->digits);
        if (!places || places > MOST_PLACES) return 0;
    }
    found->power = -(int32_t)places;
    if (!take_exponent(rest, &found->power)) return 0;
    /* To Python -0 is an integer, which has no sign; -0.0 and -0e0 have one. */
    if (!found->digits && rest->at == first + whole) found->below = 0;
    return 1;
}

/* Find the float32 next to the float64 next to a decimal, which is what Python makes of it. 0 where the number is
 * out of bounds, or where only a slower way is sure of the last bit.
 *
 * Digits up to 2^53 are a float64 without an error, and so are powers of ten up to the 22nd: one operation between
 * two of them rounds once (Clinger, "How to read floating point numbers accurately", 1990). Beyond, digits and power
 * may each be rounded too. All that the right float64 can be lies then within 2^-50 of what was found, and nearly
 * always all of that is the same float32. */
static int nearest(const struct decimal *decimal, const struct number *number, float *value) {
    static const double tens[MOST_POWER + 1] = {
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22, 1e23, 1e24, 1e25, 1e26, 1e27, 1e28, 1e29, 1e30, 1e31, 1e32, 1e33, 1e34, 1e35, 1e36, 1e37,
        1e38, 1e39, 1e40, 1e41, 1e42, 1e43, 1e44, 1e45, 1e46, 1e47, 1e48, 1e49, 1e50, 1e51, 1e52, 1e53, 1e54, 1e55,
        1e56, 1e57, 1e58, 1e59, 1e60, 1e61, 1e62, 1e63, 1e64,
    };
    int32_t power = decimal->power < 0 ? -decimal->power : decimal->power;
    if (power > MOST_POWER) return 0;
    double size = (double)decimal->digits;
    size = decimal->power < 0 ? size / tens[power] : size * tens[power];
    double doubt = decimal->digits <= EXACT_DIGITS && power <= EXACT_POWER ? 0 : size * 0x1p-50;
    double low = size - doubt, high = size + doubt;
    if (decimal->below) low = -size - doubt, high = -size + doubt;
    if (!(low >= number->low && high <= number->high)) return 0;
    *value = (float)low;
    return *value == (float)high;
}

static int take_number(const struct number *number, struct span *rest, float *row) {
    struct decimal decimal;
    float value;
    if (!take_decimal(rest, &decimal) || !nearest(&decimal, number, &value)) return 0;
    if (number->column >= 0) row[number->column] = value;
    return 1;
}

static int take_category(const struct plan *plan, const struct category *category, struct span *rest, float *row) {
    float slot;
    if (!take(rest, '"')) return 0;
    struct span text = take_text(plan, rest);
    if (!text.at || !find_slot(plan, category, text, &slot)) return 0;
    if (category->column >= 0) row[category->column] = slot;
    return 1;
}

/* Write into a row that it lacks a feature, where it may. */
static int leave_out(const struct plan *plan, size_t feature, float *row) {
    int32_t place = plan->features[feature];
    int32_t column = place < 0 ? plan->categories[~place].column : plan->numbers[place].column;
    if (column >= 0) row[column] = place < 0 ? 0 : __builtin_nanf("");
    return !(place < 0 ? plan->categories[~place].required : plan->numbers[place].required);
}

static int take_value(const struct plan *plan, size_t feature, struct span *rest, float *row) {
    int32_t place = plan->features[feature];
    skip_blanks(rest);
    if (rest->at != rest->end && *rest->at == 'n') return take_null(rest) && leave_out(plan, feature, row);
    if (place < 0) return take_category(plan, &plan->categories[~place], rest, row);
    return take_number(&plan->numbers[place], rest, row);
}

/* Take a feature's name; mostly it stands where it stood in the last record, at *expected. The manifest takes no name
 * that JSON must write with escapes. */
static int32_t take_known(const struct plan *plan, struct span *rest, int32_t *expected) {
    const struct word *word = &plan->words[plan->names.first + (uint32_t)*expected];
    if (!take(rest, '"')) return NO_FEATURE;
    if ((size_t)(rest->end - rest->at) > word->length && rest->at[word->length] == '"' &&
        same(rest->at, plan->texts + word->start, word->length)) {
        rest->at += word->length + 1;
        return *expected;
    }
    struct span text = take_text(plan, rest);
    uint32_t place = text.at ? *seat_of(plan, &plan->names, text) : 0;
    return place ? *expected = (int32_t)(place - 1 - plan->names.first) : NO_FEATURE;
}

/* Take the name of the next feature, which this record has not had yet, and the colon after it. */
static int32_t take_name(const struct plan *plan, struct span *rest, size_t found) {
    if (found == plan->features_count) return NO_FEATURE;
    int32_t feature = take_known(plan, rest, &plan->order[found]);
    if (feature == NO_FEATURE || plan->seen[feature] == plan->stamp || !take(rest, ':')) return NO_FEATURE;
    plan->seen[feature] = plan->stamp;
    return feature;
}

/* Write into count rows that they lack what was not seen; found features were. */
static int leave_unseen(const struct plan *plan, size_t found, float *row, size_t count) {
    for (size_t feature = 0; found < plan->features_count && feature < plan->features_count; feature++) {
        if (plan->seen[feature] == plan->stamp) continue;
        for (size_t i = 0; i < count; i++)
            if (!leave_out(plan, feature, row + i * plan->width)) return 0;
    }
    return 1;
}

static int take_record(struct plan *plan, struct span *rest, float *row) {
    size_t found = 0;
    plan->stamp++;
    if (!take(rest, '{')) return 0;
    do {
        int32_t feature = take_name(plan, rest, found);
        if (feature == NO_FEATURE || !take_value(plan, (size_t)feature, rest, row)) return 0;
        found++;
    } while (take(rest, ','));
    return take(rest, '}') && leave_unseen(plan, found, row, 1);
}

/* Take a list of records. Returns how many, or 0. */
static size_t take_records(struct plan *plan, struct span *rest) {
    size_t count = 0;
    if (!take(rest, '[')) return 0;
    do {
        if (count == plan->most_records || !take_record(plan, rest, plan->rows + count * plan->width)) return 0;
        count++;
    } while (take(rest, ','));
    return take(rest, ']') ? count : 0;
}

/* Take one feature's list of values, a row each. Returns how many, or 0. */
static size_t take_column(const struct plan *plan, size_t feature, struct span *rest) {
    size_t count = 0;
    if (!take(rest, '[')) return 0;
    do {
        if (count == plan->most_records) return 0;
        if (!take_value(plan, feature, rest, plan->rows + count * plan->width)) return 0;
        count++;
    } while (take(rest, ','));
    return take(rest, ']') ? count : 0;
}

/* Take columns of equal length. Returns their length, or 0. */
static size_t take_columns(struct plan *plan, struct span *rest) {
    size_t count = 0, found = 0;
    plan->stamp++;
    if (!take(rest, '{')) return 0;
    do {
        int32_t feature = take_name(plan, rest, found);
        size_t many = feature == NO_FEATURE ? 0 : take_column(plan, (size_t)feature, rest);
        if (!many || (found && many != count)) return 0;
        count = many, found++;
    } while (take(rest, ','));
    return take(rest, '}') && leave_unseen(plan, found, plan->rows, count) ? count : 0;
}

static int is_text(struct span text, const char *other, size_t length) {
    return (size_t)(text.end - text.at) == length && same(text.at, (const uint8_t *)other, length);
}

/* Read a body of length bytes in JSON. Returns the number of its records, whose rows are then in the model's
 * memory, negative where they came as columns; 0 where anything about it is out of the ordinary. */
int64_t millrace_read_json(struct plan *plan, const uint8_t *body, size_t length) {
    struct span rest = {body, body + length};
    int64_t count = 0;
    if (!take(&rest, '{') || !take(&rest, '"')) return 0;
    struct span name = take_text(plan, &rest);
    if (!name.at || !take(&rest, ':')) return 0;
    if (is_text(name, "records", 7)) count = (int64_t)take_records(plan, &rest);
    if (is_text(name, "columns", 7)) count = -(int64_t)take_columns(plan, &rest);
    if (!take(&rest, '}')) return 0;
    skip_blanks(&rest);
    return rest.at == rest.end ? count : 0;
}
