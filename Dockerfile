# One image with both programs. The command decides which one it is:
#
#   docker build -t loadgrid .
#   docker run loadgrid loadgrid --version
#   docker run loadgrid loadgrid-worker --coordinator https://grid:7070 --tls-dir /certs
#
# The programs are linked statically, so BASE_IMAGE may be anything: empty (`scratch`), a distroless one, or one with a
# shell. BUILD_IMAGE needs a Rust toolchain, a C compiler and CA certificates.
ARG BUILD_IMAGE=rust:1-slim-bookworm
ARG BASE_IMAGE=scratch

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .
# The names of functions stay (a backtrace in a pod's log is worth 3 MB), the tables of lines go. `--target` keeps
# crt-static away from build scripts and procedural macros, which have to be loaded.
RUN set -eu; \
    target="$(rustc -vV | sed -n 's/^host: //p')"; \
    CARGO_PROFILE_RELEASE_STRIP=debuginfo RUSTFLAGS='-C target-feature=+crt-static' \
      cargo build --locked --release --target "$target" --package loadgrid --package loadgrid-worker --bins; \
    mkdir -p /image/usr/local/bin /image/etc/ssl/certs /image/tmp; \
    cp "target/$target/release/loadgrid" "target/$target/release/loadgrid-worker" /image/usr/local/bin/; \
    cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/; \
    printf 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n' > /image/etc/passwd; \
    printf 'root:x:0:\nnonroot:x:65532:\n' > /image/etc/group; \
    printf 'hosts: files dns\n' > /image/etc/nsswitch.conf; \
    chmod 1777 /image/tmp

FROM ${BASE_IMAGE}
COPY --from=build /image /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# By number: Kubernetes can't tell from a name that it isn't root.
USER 65532:65532
CMD ["loadgrid", "--help"]
