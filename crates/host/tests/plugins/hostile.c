/* A plugin that does what the stream's or the action's name says, and most of that it should not. Built by the tests in
 * several ways: see the macros below. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include "zyklus_plugin.h"

extern char **environ;

__attribute__((unused)) static const char MANIFEST[] =
    "{\"kind\":\"hostile\",\"name\":\"Hostile\",\"description\":\"Does what it should not.\",\"version\":\"0.1\","
    "\"contract\":[1,0],\"max_in_flight\":4,"
    "\"streams\":[{\"name\":\"fine\",\"backfill\":true,\"incremental\":true}],"
    "\"actions\":[{\"name\":\"fine\",\"description\":\"\",\"input_schema\":{},\"dedup\":\"none\"}],"
    "\"config_schema\":{\"type\":\"object\",\"properties\":{\"open\":{\"type\":\"string\"},"
    "\"password\":{\"type\":\"string\",\"writeOnly\":true}},\"additionalProperties\":false}}";

typedef struct {
  const zy_host *host;
  uint64_t late;
} instance;

static zy_bytes text(const char *s) { return (zy_bytes){(const uint8_t *)s, strlen(s)}; }

static int says(zy_bytes body, const char *word) {
  return body.len > 0 && memmem(body.ptr, body.len, word, strlen(word)) != NULL;
}

static void answer(instance *self, uint64_t call, const char *body) {
  self->host->complete(self->host->ctx, call, ZY_OK, text(body));
}

static void page(instance *self, uint64_t call, unsigned total) {
  char body[200];
  snprintf(body, sizeof body,
           "{\"records\":[],\"total\":%u,\"next\":{\"caught_up\":{\"cursor\":null}},\"from_the_future\":1}", total);
  answer(self, call, body);
}

__attribute__((noinline)) static int overflow(volatile int depth) {
  volatile char room[4096];
  room[depth % 4096] = (char)depth;
  return overflow(depth + 1) + room[0];
}

static unsigned descriptors(void) {
  unsigned count = 0;
  DIR *dir = opendir("/proc/self/fd");
  for (struct dirent *entry; dir && (entry = readdir(dir));) count += entry->d_name[0] != '.';
  closedir(dir);
  return count - 1; /* its own */
}

static unsigned variables(void) {
  unsigned count = 0;
  for (char **v = environ; v && *v; v++) count++;
  return count;
}

/* 1 when it can make a connection of its own to this port of this machine. */
static unsigned connects(unsigned port) {
  int s = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int done = s >= 0 && connect(s, (struct sockaddr *)&to, sizeof to) == 0;
  if (s >= 0) close(s);
  return done;
}

static void *later(void *arg) {
  uint64_t *both = arg;
  usleep(300 * 1000);
  page((instance *)(uintptr_t)both[0], both[1], 9);
  free(both);
  return NULL;
}

static void replied(void *user, int32_t status, zy_bytes body) {
  uint64_t *both = user;
  page((instance *)(uintptr_t)both[0], both[1], status == ZY_OK && says(body, "204") ? 1 : 2);
  free(both);
}

/* Takes an answer and never gives back the thread it came on. */
static void stuck(void *user, int32_t status, zy_bytes body) {
  (void)user, (void)status, (void)body;
  sleep(3600);
}

static uint64_t *keep(instance *self, uint64_t call) {
  uint64_t *both = malloc(16);
  both[0] = (uint64_t)(uintptr_t)self;
  both[1] = call;
  return both;
}

/* 1 when it did, and answered or will not. */
static int misbehave(instance *self, uint64_t call, zy_bytes body) {
  if (says(body, "do-abort")) abort();
  if (says(body, "do-exit")) exit(0);
  if (says(body, "do-segv")) {
    signal(SIGSEGV, SIG_DFL);
    *(volatile int *)8 = 1;
  }
  if (says(body, "do-loop"))
    for (volatile int i = 0;; i++) {
    }
  if (says(body, "do-overflow")) return overflow(0) | 1;
  if (says(body, "do-hog"))
    for (;;) {
      char *all = malloc(1 << 20);
      if (!all) abort();
      memset(all, 1, 1 << 20);
    }
  if (says(body, "do-block")) {
    sleep(3600);
    return 1;
  }
  if (says(body, "do-silent")) return 1;
  if (says(body, "do-late")) {
    self->late = call;
    return 1;
  }
  if (says(body, "do-pipe")) { /* whatever the daemon listens to */
    for (int fd = 3; fd < 64; fd++) (void)!write(fd, "garbage garbage garbage garbage garbage", 38);
    return 1;
  }
  if (says(body, "do-print")) {
    for (int i = 0; i < 10; i++) printf("garbage to standard output \x01 with hunter2-pass\n");
    fflush(stdout);
  }
  if (says(body, "do-log"))
    for (int i = 0; i < 5000; i++)
      self->host->log(self->host->ctx, call, ZY_ERROR, text("hostile"), text("the password is hunter2-pass"),
                      text("{\"password\":\"x\",\"n\":1}"));
  if (says(body, "do-flood"))
    for (;;) self->host->request(self->host->ctx, call, text("now"), text(""), stuck, NULL);
  if (says(body, "do-huge")) {
    size_t len = 100u << 20;
    char *all = malloc(len);
    memset(all, ' ', len);
    self->host->complete(self->host->ctx, call, ZY_OK, (zy_bytes){(uint8_t *)all, len});
    free(all);
    return 1;
  }
  if (says(body, "do-nonsense")) return answer(self, call, "{\"records\":5"), 1;
  if (says(body, "do-status")) {
    self->host->complete(self->host->ctx, call, 77, text("an odd status"));
    return 1;
  }
  if (says(body, "do-strangers")) /* calls that are not its own */
    for (uint64_t id = 0; id < 50; id++)
      if (id != call) self->host->complete(self->host->ctx, 1000000 + id, ZY_OK, text("{}"));
  return 0;
}

static zy_bytes manifest(void) {
#ifdef NO_MANIFEST
  return (zy_bytes){0, 0};
#else
  return text(MANIFEST);
#endif
}

static void *create(const zy_host *host) {
#ifdef NO_INSTANCE
  (void)host;
  return NULL;
#else
  instance *self = calloc(1, sizeof *self);
  self->host = host;
  return self;
#endif
}

static void call(void *me, uint64_t call, zy_bytes op, zy_bytes body) {
  instance *self = me;
  if (misbehave(self, call, body)) return;
  if (says(op, "open")) return answer(self, call, "{}");
  if (says(op, "close") || says(op, "check")) return answer(self, call, "[]");
  if (says(op, "actions.perform")) {
    answer(self, call, "[{\"done\":{}}]");
    if (says(body, "do-twice")) answer(self, call, "[{\"rejected\":{\"kind\":\"invalid\",\"message\":\"\"}}]");
    return;
  }
  if (!says(op, "source.read")) {
    self->host->complete(self->host->ctx, call, ZY_ERR, text("{\"kind\":\"unsupported\",\"message\":\"no\"}"));
    return;
  }
  if (says(body, "\"process\"")) return page(self, call, (unsigned)getpid());
  if (says(body, "\"env\"")) return page(self, call, variables());
  if (says(body, "\"descriptors\"")) return page(self, call, descriptors());
  if (says(body, "\"connect-")) {
    const char *port = memmem(body.ptr, body.len, "connect-", 8);
    return page(self, call, connects((unsigned)atoi(port + 8)));
  }
  if (says(body, "\"http\"")) {
    self->host->request(self->host->ctx, call, text("http"),
                        text("{\"method\":\"GET\",\"url\":\"http://shop.example/x\"}"), replied, keep(self, call));
    return;
  }
  if (says(body, "\"later\"")) {
    pthread_t thread;
    pthread_create(&thread, NULL, later, keep(self, call));
    pthread_detach(thread);
    return;
  }
  page(self, call, 7);
  if (says(body, "do-twice")) page(self, call, 8);
}

static void cancel(void *me, uint64_t call) {
  instance *self = me;
  if (self->late == call) {
    page(self, call, 7);
    page(self, call, 8);
  }
}

static void destroy(void *me) { free(me); }

#ifdef APPENDED
typedef struct {
  zy_plugin table;
  void *more[3];
} table_type;
#else
typedef zy_plugin table_type;
#endif

#ifndef MAGIC
#define MAGIC ZYKLUS_PLUGIN_MAGIC
#endif
#ifndef MAJOR
#define MAJOR ZYKLUS_ABI_MAJOR
#endif
#ifndef SIZE
#define SIZE sizeof(table_type)
#endif

#ifdef APPENDED
static const table_type TABLE = {.table = {MAGIC, MAJOR, 9, SIZE, 0, manifest, create, call, cancel, destroy},
                                 .more = {(void *)1, (void *)2, (void *)3}};
#else
static const table_type TABLE = {MAGIC, MAJOR, 0, SIZE, 0, manifest, create, call, cancel, destroy};
#endif

#ifndef NO_SYMBOL
const zy_plugin *zyklus_plugin_v1(void) { return (const zy_plugin *)&TABLE; }
#else
const void *another_symbol(void) { return &TABLE; }
#endif

#ifdef ABORT_ON_LOAD
__attribute__((constructor)) static void loaded(void) { abort(); }
#endif
#ifdef HANG_ON_LOAD
__attribute__((constructor)) static void loaded(void) { sleep(3600); }
#endif
