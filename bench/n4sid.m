% Models by SLICOT's n4sid (octave-control), for bench/identification_peers.py:
%   octave-cli bench/n4sid.m LOG INPUTS SAMPLE_TIME FOLDER
% LOG's columns are time, INPUTS inputs, outputs. Orders 2 to 10 with horizons of 12, 20 and 30 block rows, on columns
% without their means. FOLDER/n_s.txt gets the seconds it took, then A, B, C, D, K and Ry, each as a line of rows, columns
% and numbers by rows.
pkg load control
warning("off", "all");
arguments = argv();
table = dlmread(arguments{1}, ",", 1, 0)(:, 2:end);
inputs = str2double(arguments{2});
table -= mean(table);
record = iddata(table(:, inputs + 1:end), table(:, 1:inputs), str2double(arguments{3}));
for order = 2:10
  for horizon = [12 20 30]
    try
      started = tic();
      [model, ~, info] = n4sid(record, "s", horizon, "n", order);
      seconds = toc(started);
    catch failure
      printf("order %d, s %d: %s\n", order, horizon, failure.message);
      continue
    end
    file = fopen(sprintf("%s/%d_%d.txt", arguments{4}, order, horizon), "w");
    fprintf(file, "%.17g\n", seconds);
    for matrix = {model.a, model.b, model.c, model.d, info.K, info.Ry}
      fprintf(file, "%d %d", size(matrix{1}));
      fprintf(file, " %.17g", matrix{1}');
      fprintf(file, "\n");
    end
    fclose(file);
  end
end
