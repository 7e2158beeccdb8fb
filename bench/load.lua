-- Sends the requests of a file in turn, for wrk. One a line: method, path, a header or nothing, body or nothing, separated
-- by tabs. {n} in a body becomes a number that no other request has. The result is one line of JSON.

local requests, turn, number = {}, 0, 0

local function format(method, path, header, body)
  local headers = { ['Host'] = wrk.headers['Host'] }
  if body then headers['Content-Type'] = 'application/json' end
  local name, value = header:match('^([^:]+): (.*)$')
  if name then headers[name] = value end
  return wrk.format(method, path, headers, body)
end

function init(args)
  number = tonumber(args[2])
  for line in io.lines(args[1]) do
    local method, path, header, body = line:match('^([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$')
    if body == '' then body = nil end
    if body and body:find('{n}', 1, true) then
      requests[#requests + 1] = function()
        number = number + 1
        return format(method, path, header, (body:gsub('{n}', tostring(number))))
      end
    else
      -- Made once: wrk must stay cheaper than what it measures.
      local text = format(method, path, header, body)
      requests[#requests + 1] = function() return text end
    end
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]()
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"answers":%d,"ms":%.3f,"p50":%.3f,"p99":%.3f,"refused":%d,"failed":%d}\n',
    summary.requests, summary.duration / 1000,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
