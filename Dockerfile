# The service. The version of Bun is the one package.json pins; a test says when the two differ.
FROM oven/bun:1.4.5 AS packages
WORKDIR /munjigi
COPY package.json bun.lock ./
RUN bun install --frozen-lockfile --production --ignore-scripts

FROM oven/bun:1.4.5
WORKDIR /munjigi
COPY --from=packages /munjigi/node_modules node_modules
COPY package.json LICENSE ./
COPY src src
COPY envoy envoy
# Whatever umask the files were made with.
RUN chmod -R a+rX src envoy package.json LICENSE
# A new volume takes the owner of the folder where it is first mounted: the service is 1000, Envoy 101, sqld 666,
# VictoriaLogs 65534. So no container has to begin as root. They are mounted elsewhere afterwards: an empty volume would take
# the next owner too. `/data` is for a database file, where the image runs alone.
RUN mkdir -p /secrets/munjigi /secrets/database /secrets/private /edge /certificates /ca /database /backups /figures /logs /data \
  && chown -R 1000:1000 /secrets /edge /backups /figures /data \
  && chown 101:101 /certificates /ca \
  && chown 666:666 /database \
  && chown 65534:65534 /logs
ENV MUNJIGI_HOST=0.0.0.0
USER 1000:1000
EXPOSE 3000 9464
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
  CMD ["bun", "--no-env-file", "-e", "process.exit((await fetch('http://127.0.0.1:' + (process.env.MUNJIGI_PORT || process.env.PORT || 3000) + '/readyz', { proxy: false })).ok ? 0 : 1)"]
# No shell in between: a signal reaches the process itself.
ENTRYPOINT ["bun", "--no-env-file", "src/main.ts"]
CMD ["serve"]
