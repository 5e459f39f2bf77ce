/* guestbook: a small connector in C99 without dependencies. It reads the people in a text file, one "id;email;name" a line,
 * takes their messages as notifications, and carries text messages by writing them down; its action rings a bell.
 *
 * A connector in C has one function to write for each op, here in `call`. Everything it is lent it copies or leaves alone;
 * everything it answers is copied by the host before `complete` returns. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zyklus_plugin.h"

enum { PATH_MAX_LENGTH = 1024 };

typedef struct guestbook {
  const zy_host *host;
  char people[PATH_MAX_LENGTH]; /* the file that is read */
  char outbox[PATH_MAX_LENGTH]; /* the file that is written */
  char password[128];           /* what notifications carry in x-password */
} guestbook;

/* ---- text that grows ---- */

typedef struct text {
  char *at;
  size_t length, room;
} text;

static void add_bytes(text *to, const char *bytes, size_t length) {
  if (to->length + length + 1 > to->room) {
    size_t room = (to->length + length + 1) * 2;
    char *at = realloc(to->at, room);
    if (at == NULL) abort();
    to->at = at;
    to->room = room;
  }
  memcpy(to->at + to->length, bytes, length);
  to->length += length;
  to->at[to->length] = '\0';
}

static void add(text *to, const char *words) { add_bytes(to, words, strlen(words)); }

static void add_number(text *to, long number) {
  char digits[32];
  snprintf(digits, sizeof digits, "%ld", number);
  add(to, digits);
}

/* As a JSON string. */
static void add_string(text *to, const char *bytes, size_t length) {
  add(to, "\"");
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)bytes[i];
    char escaped[8];
    if (c == '"' || c == '\\') {
      char two[2] = {'\\', (char)c};
      add_bytes(to, two, 2);
    } else if (c < 0x20) {
      snprintf(escaped, sizeof escaped, "\\u%04x", c);
      add(to, escaped);
    } else {
      add_bytes(to, bytes + i, 1);
    }
  }
  add(to, "\"");
}

/* ---- as much JSON as a connector needs ---- */

static const char *space(const char *at) {
  while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r') at++;
  return at;
}

/* Behind one JSON value. The host sends well-formed JSON only. */
static const char *skip(const char *at) {
  at = space(at);
  if (*at == '"') {
    for (at++; *at && *at != '"'; at++)
      if (*at == '\\' && at[1]) at++;
    return *at ? at + 1 : at;
  }
  if (*at == '{' || *at == '[') {
    int depth = 0;
    do {
      if (*at == '"') {
        at = skip(at);
        continue;
      }
      if (*at == '{' || *at == '[') depth++;
      if (*at == '}' || *at == ']') depth--;
      at++;
    } while (*at && depth > 0);
    return at;
  }
  while (*at && !strchr(",]} \n\t\r", *at)) at++;
  return at;
}

/* The value of a key of an object, or NULL. */
static const char *find(const char *object, const char *key) {
  if (object == NULL) return NULL;
  const char *at = space(object);
  if (*at != '{') return NULL;
  at = space(at + 1);
  size_t length = strlen(key);
  while (*at == '"') {
    int fits = strncmp(at + 1, key, length) == 0 && at[1 + length] == '"';
    at = space(skip(at));
    if (*at != ':') return NULL;
    at = space(at + 1);
    if (fits) return at;
    at = space(skip(at));
    if (*at == ',') at = space(at + 1);
  }
  return NULL;
}

/* The next element of a list: of the list itself at first, then behind the last one; NULL behind the end. */
static const char *next(const char *at) {
  at = space(at);
  if (*at == '[' || *at == ',') at = space(at + 1);
  return *at == ']' || *at == '\0' ? NULL : at;
}

/* A JSON string as C has it; 0 = it is none, or has no room. */
static int string(const char *at, char *to, size_t room) {
  if (at == NULL || *at != '"') return 0;
  size_t length = 0;
  for (at++; *at && *at != '"'; at++) {
    char c = *at;
    if (c == '\\') {
      c = *++at;
      if (c == 'n') c = '\n';
      else if (c == 't') c = '\t';
      else if (c == 'r') c = '\r';
      else if (c == 'u') { /* only what JSON must escape is ever escaped so */
        unsigned code = 0;
        sscanf(at + 1, "%4x", &code);
        c = code < 0x80 ? (char)code : '?';
        at += 4;
      }
    }
    if (length + 1 >= room) return 0;
    to[length++] = c;
  }
  to[length] = '\0';
  return 1;
}

/* Whether a JSON string holds exactly these words. */
static int is(const char *at, const char *words) {
  char value[256];
  return string(at, value, sizeof value) && strcmp(value, words) == 0;
}

/* ---- answers ---- */

static void answer(guestbook *self, uint64_t id, int32_t status, const char *body) {
  zy_bytes bytes = {(const uint8_t *)body, strlen(body)};
  self->host->complete(self->host->ctx, id, status, bytes);
}

static void add_error(text *to, const char *kind, const char *message, const char *field) {
  add(to, "{\"kind\":\"");
  add(to, kind);
  add(to, "\",\"message\":");
  add_string(to, message, strlen(message));
  if (field) {
    add(to, ",\"field\":\"");
    add(to, field);
    add(to, "\"");
  }
  add(to, "}");
}

static void fail(guestbook *self, uint64_t id, const char *kind, const char *message, const char *field) {
  text body = {0};
  add_error(&body, kind, message, field);
  answer(self, id, ZY_ERR, body.at);
  free(body.at);
}

/* ---- the ops ---- */

static void open_it(guestbook *self, uint64_t id, const char *body) {
  const char *config = find(body, "config");
  char name[512], folder[PATH_MAX_LENGTH / 2];
  if (!string(find(config, "people"), name, sizeof name) || name[0] == '\0') {
    fail(self, id, "config", "`people` names the file with the people", "people");
    return;
  }
  if (!string(find(body, "base_dir"), folder, sizeof folder)) folder[0] = '\0';
  if (name[0] == '/') snprintf(self->people, sizeof self->people, "%s", name);
  else snprintf(self->people, sizeof self->people, "%s/%s", folder, name);
  if (!string(find(config, "password"), self->password, sizeof self->password) || self->password[0] == '\0') {
    fail(self, id, "config", "`password` is what notifications carry", "password");
    return;
  }
  if (!string(find(body, "data_dir"), folder, sizeof folder)) folder[0] = '\0';
  snprintf(self->outbox, sizeof self->outbox, "%s/outbox", folder);
  answer(self, id, ZY_OK, "{\"facets\":[\"source\",\"webhooks\",\"channel\",\"actions\"]}");
}

static void check(guestbook *self, uint64_t id) {
  FILE *file = fopen(self->people, "r");
  text body = {0};
  add(&body, "[{\"name\":\"the people can be read\",\"problem\":");
  if (file) add(&body, "null");
  else add_error(&body, "config", "the file with the people cannot be read", "people");
  add(&body, "}]");
  if (file) fclose(file);
  answer(self, id, ZY_OK, body.at);
  free(body.at);
}

/* "id;email;name" as a record; 0 = it is no such line. */
static int add_person(text *to, char *line) {
  line[strcspn(line, "\r\n")] = '\0';
  char *email = strchr(line, ';');
  char *name = email ? strchr(email + 1, ';') : NULL;
  if (name == NULL) return 0;
  add(to, "{\"type\":\"customer\",\"external_id\":");
  add_string(to, line, (size_t)(email - line));
  add(to, ",\"email\":");
  add_string(to, email + 1, (size_t)(name - email - 1));
  add(to, ",\"first_name\":");
  add_string(to, name + 1, strlen(name + 1));
  add(to, "}");
  return 1;
}

/* The cursor is the offset in the file behind the last line read. */
static void read_page(guestbook *self, uint64_t id, const char *body) {
  if (!is(find(body, "stream"), "people")) {
    fail(self, id, "unsupported", "there is no such stream", NULL);
    return;
  }
  const char *cursor = find(body, "cursor"), *limit = find(body, "limit");
  long at = cursor ? strtol(cursor, NULL, 10) : 0, most = limit ? strtol(limit, NULL, 10) : 100;
  FILE *file = fopen(self->people, "r");
  if (file == NULL) {
    fail(self, id, "config", "the file with the people cannot be read", "people");
    return;
  }
  fseek(file, 0, SEEK_END);
  long end = ftell(file);
  if (at < 0 || at > end || fseek(file, at, SEEK_SET) != 0) {
    fclose(file);
    fail(self, id, "invalid", "the cursor is behind the file's end", NULL);
    return;
  }
  text page = {0}, rejects = {0};
  add(&page, "{\"records\":[");
  char *line = NULL;
  size_t room = 0;
  long count = 0;
  while (count < most && getline(&line, &room, file) > 0) {
    size_t before = page.length;
    if (count) add(&page, ",");
    if (add_person(&page, line)) {
      count++;
    } else {
      page.length = before;
      page.at[before] = '\0';
      add(&rejects, rejects.length ? "," : "");
      add(&rejects, "{\"place\":\"byte ");
      add_number(&rejects, at);
      add(&rejects, "\",\"message\":\"a line is id;email;name\"}");
    }
    at = ftell(file);
  }
  free(line);
  fclose(file);
  add(&page, "],\"rejects\":[");
  if (rejects.at) add(&page, rejects.at);
  add(&page, at < end ? "],\"next\":{\"more\":{\"cursor\":" : "],\"next\":{\"caught_up\":{\"cursor\":");
  add_number(&page, at);
  add(&page, "}}}");
  answer(self, id, ZY_OK, page.at);
  free(page.at);
  free(rejects.at);
}

/* In a time that does not say where they differ. */
static int same(const char *one, const char *other) {
  size_t length = strlen(one);
  unsigned char differing = length != strlen(other);
  for (size_t i = 0; i < length; i++) differing |= (unsigned char)(one[i] ^ other[differing ? 0 : i]);
  return differing == 0;
}

/* A FNV-1a hash: the guestbook's signature of password and body. A toy; take a real HMAC for anything that matters. */
static void sign(const char *password, const char *body, char to[17]) {
  unsigned long long hash = 14695981039346656037ULL;
  const char *parts[2] = {password, body};
  for (int part = 0; part < 2; part++)
    for (const char *at = parts[part]; *at; at++) hash = (hash ^ (unsigned char)*at) * 1099511628211ULL;
  snprintf(to, 17, "%016llx", hash);
}

static void receive(guestbook *self, uint64_t id, const char *body) {
  const char *headers = find(body, "headers");
  char given[64], expected[17], line[512], number[64];
  if (!string(find(body, "body"), line, sizeof line)) {
    fail(self, id, "invalid", "the body is too long, or no text", NULL);
    return;
  }
  sign(self->password, line, expected);
  if (!string(find(headers, "x-signature"), given, sizeof given) || !same(given, expected)) {
    fail(self, id, "auth", "`x-signature` is missing or not that of this body", NULL);
    return;
  }
  text received = {0};
  add(&received, "{\"delivery_id\":");
  if (string(find(headers, "x-number"), number, sizeof number)) add_string(&received, number, strlen(number));
  else add_string(&received, expected, strlen(expected));
  add(&received, ",\"records\":[");
  if (add_person(&received, line)) {
    add(&received, "]}");
    answer(self, id, ZY_OK, received.at);
  } else {
    fail(self, id, "invalid", "a line is id;email;name", NULL);
  }
  free(received.at);
}

/* Whether the outbox has this key already: a repeat is recognised by it. */
static int is_written(guestbook *self, const char *key) {
  FILE *file = fopen(self->outbox, "r");
  if (file == NULL) return 0;
  char *line = NULL;
  size_t room = 0, length = strlen(key);
  int found = 0;
  while (!found && getline(&line, &room, file) > 0) found = strncmp(line, key, length) == 0 && line[length] == ' ';
  free(line);
  fclose(file);
  return found;
}

static int write_down(guestbook *self, const char *key, const char *what, const char *words) {
  if (is_written(self, key)) return 1;
  FILE *file = fopen(self->outbox, "a");
  if (file == NULL) return 0;
  text line = {0};
  add_string(&line, words, strlen(words));
  int fine = fprintf(file, "%s %s %s\n", key, what, line.at) > 0;
  free(line.at);
  return fclose(file) == 0 && fine;
}

static void outcome_of_message(guestbook *self, text *to, const char *keyed) {
  const char *message = find(keyed, "body");
  char key[128], phone[64], words[4096];
  if (!string(find(keyed, "key"), key, sizeof key) || !string(find(message, "text"), words, sizeof words)) {
    add(to, "{\"rejected\":");
    add_error(to, "invalid", "the message is too long", NULL);
  } else if (!string(find(find(message, "to"), "phone"), phone, sizeof phone)) {
    add(to, "{\"rejected\":");
    add_error(to, "invalid", "text messages go to telephone numbers", NULL);
  } else if (!write_down(self, key, phone, words)) {
    add(to, "{\"retry\":");
    add_error(to, "transient", "the outbox cannot be written", NULL);
  } else {
    add(to, "{\"done\":{\"kind\":\"accepted\",\"provider_ref\":");
    add_string(to, key, strlen(key));
    add(to, ",\"detail\":null}");
  }
  add(to, "}");
}

static void outcome_of_action(guestbook *self, text *to, const char *keyed) {
  char key[128];
  if (!is(find(find(keyed, "body"), "name"), "ring") || !string(find(keyed, "key"), key, sizeof key)) {
    add(to, "{\"rejected\":");
    add_error(to, "unsupported", "there is no such action", NULL);
  } else if (!write_down(self, key, "bell", "ding")) {
    add(to, "{\"retry\":");
    add_error(to, "transient", "the outbox cannot be written", NULL);
  } else {
    add(to, "{\"done\":{\"rang\":true}");
  }
  add(to, "}");
}

/* One outcome a command, in order. */
static void batch(guestbook *self, uint64_t id, const char *body,
                  void (*outcome)(guestbook *, text *, const char *)) {
  text outcomes = {0};
  add(&outcomes, "[");
  for (const char *at = next(body); at; at = next(skip(at))) {
    if (outcomes.length > 1) add(&outcomes, ",");
    outcome(self, &outcomes, at);
  }
  add(&outcomes, "]");
  answer(self, id, ZY_OK, outcomes.at);
  free(outcomes.at);
}

/* ---- the table ---- */

static const char MANIFEST[] =
    "{\"kind\":\"guestbook\",\"name\":\"Guestbook\",\"version\":\"0.1.0\",\"contract\":[1,0],"
    "\"description\":\"Reads people from a text file, and writes text messages into another.\","
    "\"streams\":[{\"name\":\"people\",\"backfill\":true,\"incremental\":true}],"
    "\"channel\":{\"channel\":\"sms\",\"dedup\":\"native\",\"max_batch\":10},"
    "\"actions\":[{\"name\":\"ring\",\"description\":\"Rings the bell.\",\"dedup\":\"native\","
    "\"input_schema\":{\"type\":\"object\",\"additionalProperties\":false}}],"
    "\"config_schema\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"people\",\"password\"],"
    "\"properties\":{\"people\":{\"type\":\"string\",\"description\":\"The file: id;email;name in each line.\"},"
    "\"password\":{\"type\":\"string\",\"writeOnly\":true,\"description\":\"What notifications are signed with.\"}}}}";

static zy_bytes manifest(void) { return (zy_bytes){(const uint8_t *)MANIFEST, sizeof MANIFEST - 1}; }

static void *create(const zy_host *host) {
  guestbook *self = calloc(1, sizeof *self);
  if (self) self->host = host;
  return self;
}

static int is_op(zy_bytes op, const char *name) {
  return op.len == strlen(name) && memcmp(op.ptr, name, op.len) == 0;
}

static void call(void *instance, uint64_t id, zy_bytes op, zy_bytes lent) {
  guestbook *self = instance;
  /* With an end, so that it can be read as C reads strings. */
  text body = {0};
  add(&body, "");
  if (lent.len) add_bytes(&body, (const char *)lent.ptr, lent.len);
  if (is_op(op, "open")) open_it(self, id, body.at);
  else if (is_op(op, "check")) check(self, id);
  else if (is_op(op, "source.read")) read_page(self, id, body.at);
  else if (is_op(op, "webhooks.receive")) receive(self, id, body.at);
  else if (is_op(op, "webhooks.reconcile")) answer(self, id, ZY_OK, "null");
  else if (is_op(op, "channel.send")) batch(self, id, body.at, outcome_of_message);
  else if (is_op(op, "actions.perform")) batch(self, id, body.at, outcome_of_action);
  else if (is_op(op, "close")) answer(self, id, ZY_OK, "null");
  else fail(self, id, "unsupported", "this connector cannot do that", NULL);
  free(body.at);
}

/* Every call is answered before it returns: there is never one to cancel. */
static void cancel(void *self, uint64_t id) {
  (void)self;
  (void)id;
}

static void destroy(void *self) { free(self); }

const zy_plugin *zyklus_plugin_v1(void) {
  static const zy_plugin TABLE = {ZYKLUS_PLUGIN_MAGIC, ZYKLUS_ABI_MAJOR, ZYKLUS_ABI_MINOR, sizeof(zy_plugin), 0,
                                  manifest, create, call, cancel, destroy};
  return &TABLE;
}
